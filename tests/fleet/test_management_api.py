"""Programs run the fleet over REST: what an administrator may do in admin, and nothing more."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from fleet.models import Deployment, JoinToken, Replica, Worker
from fleet.reconciler import reconcile
from gateway.issuing import issue_key, revoke_key
from gateway.models import KeyScope

ROOT = "/api/fleet/v1"
pytestmark = pytest.mark.django_db


class Program:
    """A client with a key."""

    def __init__(self, key: str) -> None:
        self._client = Client()
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def call(self, method: str, path: str, body: object = None):
        content = json.dumps(body) if body is not None else ""
        call = getattr(self._client, method)
        arguments = {"headers": self._headers} | ({} if method == "get" else {"content_type": "application/json"})
        return call(ROOT + path, content, **arguments) if method != "get" else call(ROOT + path, **arguments)

    def get(self, path: str):
        answer = self.call("get", path)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def post(self, path: str, body: object = None, status: int = 200):
        answer = self.call("post", path, body)
        assert answer.status_code == status, answer.content
        return answer.json()


@pytest.fixture
def admin(db):
    return get_user_model().objects.create_superuser("root")


@pytest.fixture
def program(admin) -> Program:
    return Program(issue_key(admin, "terraform", scopes=[KeyScope.FLEET])[1])


def test_a_model_is_deployed_scaled_stopped_and_started(program, make_worker):
    worker = make_worker()
    program.post("/models", {"name": "llama"}, status=201)
    made = program.post("/deployments", {"model": "llama", "engine": "echo", "num_replicas": 2}, status=201)
    path = f"/deployments/{made['id']}"
    assert [row["worker"] for row in program.get("/replicas?model=llama")["results"]] == [str(worker.pk)] * 2

    assert program.post(path + "/scale", {"num_replicas": 1})["num_replicas"] == 1
    assert program.post(path + "/stop")["is_stopped"] is True
    assert not Replica.objects.desired().exists()
    assert program.post(path + "/start")["is_stopped"] is False
    assert Replica.objects.desired().count() == 1


def test_a_deployment_is_changed_in_part_and_checked_as_a_whole(program, make_worker):
    worker = make_worker()
    program.post("/models", {"name": "llama"}, status=201)
    program.post("/models", {"name": "qwen"}, status=201)
    made = program.post("/deployments", {"model": "llama", "engine": "echo"}, status=201)
    path = f"/deployments/{made['id']}"
    changed = program.call("patch", path, {"model": "qwen", "pinned_to": [str(worker.pk)], "source": "delay=1"}).json()
    assert (changed["model"], changed["engine"], changed["source"]) == ("qwen", "echo", "delay=1")
    assert changed["pinned_to"] == [str(worker.pk)]
    refused = program.call("patch", path, {"engine": "transformers", "source": ""})
    assert (refused.status_code, list(refused.json()["error"]["fields"])) == (400, ["source"])


def test_a_deployment_tells_why_it_does_not_run(program, make_worker, make_deployment):
    make_worker("box-1", cordoned=True)
    deployment = make_deployment()
    reconcile()
    observed = program.get(f"/deployments/{deployment.pk}")["observed"]
    assert (observed["phase"], observed["num_ready"]) == ("unplaced", 0)
    assert [refusal["worker"] for refusal in observed["refusals"]] == ["box-1"]
    assert observed["refusals"][0]["reason"]


def test_a_worker_is_labelled_drained_and_forgotten(program, make_worker):
    worker = make_worker()
    path = f"/workers/{worker.pk}"
    assert program.call("patch", path, {"labels": {"gpu": "h100"}}).json()["labels"] == {"gpu": "h100"}
    assert program.post(path + "/drain")["drain_requested_at"]
    assert program.post(path + "/maintain", {"remark": "new disks"})["maintenance_remark"] == "new disks"
    assert program.post(path + "/uncordon")["cordoned"] is False
    assert program.get(path + "/timeline")["results"]
    assert program.call("delete", path).status_code == 204
    assert not Worker.objects.exists()


def test_what_would_stop_a_model_is_refused_until_it_is_confirmed(program, make_worker, make_deployment):
    worker, _ = make_worker(), make_deployment()
    reconcile()
    refused = program.post(f"/workers/{worker.pk}/drain", status=409)
    assert refused["error"]["code"] == "act_refused"
    assert "echo-1" in refused["error"]["message"]
    assert program.post(f"/workers/{worker.pk}/drain", {"may_stop": True})["drain_requested_at"]


def test_a_join_token_is_shown_once(program):
    made = program.post("/join-tokens", {"name": "rack 7", "valid_for": "01:00:00", "max_uses": 3}, status=201)
    assert made["token"].startswith("flt-join-")
    row = JoinToken.objects.get()
    assert (row.name, row.max_uses, row.created_by.username) == ("rack 7", 3, "root")
    assert "token" not in program.get(f"/join-tokens/{row.pk}")
    assert program.post(f"/join-tokens/{row.pk}/revoke")["revoked_at"]


def test_no_secret_of_a_worker_is_ever_told(program, make_worker):
    make_worker(gateway_secret="secret-of-the-gateway")
    told = json.dumps(program.get("/workers"))
    assert "secret-of-the-gateway" not in told
    assert "credential" not in told


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/models", {"name": "no spaces please"}, "name"),
        ("/deployments", {"model": "unknown", "engine": "echo"}, "model"),
        ("/deployments", {"model": "llama", "engine": "abacus"}, "engine"),
        ("/deployments", {"model": "llama", "engine": "transformers"}, "source"),
        ("/deployments", {"model": "llama", "engine": "echo", "num_replicas": 1000}, "num_replicas"),
        ("/deployments", {"model": "llama", "engine": "echo", "selector": {"gpu": ["h100"]}}, "selector"),
        ("/join-tokens", {"name": "x", "valid_for": "-1"}, "valid_for"),
    ],
)
def test_what_is_wrong_is_named(program, path, body, field):
    program.post("/models", {"name": "llama"}, status=201)
    error = program.post(path, body, status=400)["error"]
    assert field in error["fields"]
    assert error["message"].startswith(f"{field}: ")


def test_an_unknown_id_is_not_found(program):
    assert program.call("get", "/deployments/7").status_code == 404
    assert program.call("get", "/workers/nonsense").status_code == 404


def refused_key(kind: str, admin) -> str:
    staffless = get_user_model().objects.create_user("ada")
    match kind:
        case "none":
            return ""
        case "invented":
            return "sk-flt-invented"
        case "for inference":
            return issue_key(admin, "app")[1]
        case "of somebody who is no staff":
            return issue_key(staffless, "app", scopes=[KeyScope.FLEET])[1]
    row, text = issue_key(admin, "app", scopes=[KeyScope.FLEET])
    revoke_key(row)
    return text


@pytest.mark.parametrize(
    ("kind", "status"),
    [("none", 401), ("invented", 401), ("revoked", 401), ("for inference", 403), ("of somebody who is no staff", 403)],
)
def test_nobody_else_is_let_in(kind, status, admin):
    program = Program(refused_key(kind, admin))
    for path in ("/workers", "/models", "/deployments", "/replicas", "/join-tokens"):
        answer = program.call("get", path)
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"message", "code", "fields"}


def test_staff_may_do_here_what_they_may_do_in_admin(make_worker):
    clerk = get_user_model().objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_worker"))
    program = Program(issue_key(clerk, "report", scopes=[KeyScope.FLEET])[1])
    worker = make_worker()
    assert program.get("/workers")["count"] == 1
    assert program.call("post", f"/workers/{worker.pk}/cordon").status_code == 403
    assert program.call("get", "/deployments").status_code == 403


def test_adminss_session_is_let_in_but_not_without_a_csrf_token(admin, make_worker):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin)
    worker = make_worker()
    assert browser.get(ROOT + "/workers").status_code == 200
    assert browser.post(f"{ROOT}/workers/{worker.pk}/cordon").status_code == 403


def test_the_document_names_every_act(client):
    paths = client.get(ROOT + "/schema").json()["paths"]
    assert {f"{ROOT}/deployments/{{id}}/scale", f"{ROOT}/workers/{{id}}/drain", f"{ROOT}/join-tokens"} <= set(paths)


def test_deleting_a_deployment_unloads_it(program, make_worker, make_deployment):
    make_worker()
    deployment = make_deployment()
    reconcile()
    assert program.call("delete", f"/deployments/{deployment.pk}").status_code == 204
    assert not Deployment.objects.exists()
