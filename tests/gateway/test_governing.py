"""Keys and teams over REST and from the command line: by the same acts as in admin."""

import json
from io import StringIO

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import Team, User
from audit.models import AuditEntry
from gateway.issuing import issue_key
from gateway.keyring import read_keyring
from gateway.models import APIKey, KeyScope
from tests.fleet.test_management_api import Program

pytestmark = pytest.mark.django_db


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root")


@pytest.fixture
def program(root) -> Program:
    return Program(issue_key(root, "terraform", scopes=[KeyScope.FLEET])[1])


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def helper() -> tuple[User, Program]:
    """Staff who govern keys, and no more."""
    user = User.objects.create_user("helper", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__model="apikey"))
    return user, Program(issue_key(user, "script", scopes=[KeyScope.FLEET])[1])


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_a_key_is_issued_changed_rotated_disabled_and_revoked_over_rest(program, ada):
    made = program.post("/keys", {"name": "nightly", "owner": "ada", "max_tokens_per_day": 100}, status=201)
    path = f"/keys/{made['id']}"
    assert read_keyring().entry(made["secret"]).caller.user_id == ada.pk
    assert "secret" not in program.get(path)
    changed = program.call("patch", path, {"networks": ["10.0.0.0/8"], "max_tokens_per_day": None}).json()
    assert (changed["networks"], changed["max_tokens_per_day"]) == (["10.0.0.0/8"], None)
    rotated = program.post(path + "/rotate", {"grace_hours": 0})
    assert [read_keyring().entry(text) is None for text in (made["secret"], rotated["secret"])] == [True, False]
    states = [program.post(f"{path}/{act}")["state"] for act in ("disable", "enable", "revoke")]
    assert states == ["disabled", "usable", "revoked"]
    assert program.post(path + "/rotate", status=409)["error"]["code"] == "act_refused"


def test_what_is_done_over_rest_is_audited_without_the_secret(program, ada):
    made = program.post("/keys", {"name": "nightly", "owner": "ada"}, status=201)
    entries = AuditEntry.objects.filter(object_kind="gateway.apikey")
    assert [(entry.act, entry.object_id) for entry in entries] == [("create", str(made["id"]))]
    assert made["secret"] not in json.dumps([entry.after for entry in entries])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"networks": ["everywhere"]}, "networks"),
        ({"allowed_models": ["a b"]}, "allowed_models"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"owner": "nobody"}, "owner"),
        ({"team": "nobody"}, "team"),
        ({"max_tokens_per_day": 0}, "max_tokens_per_day"),
    ],
)
def test_what_is_wrong_with_a_key_is_named(program, ada, change, field):
    error = program.post("/keys", {"name": "nightly", "owner": "ada"} | change, status=400)["error"]
    assert list(error["fields"]) == [field]


def test_who_governs_keys_gets_no_rights_of_others_by_it(helper, root, ada):
    user, program = helper
    of_root, _ = issue_key(root, "terraform", scopes=[KeyScope.FLEET])
    plain, _ = issue_key(root, "chat")
    asked = {"name": "mine", "owner": "root", "scopes": ["fleet"]}
    assert "scopes" in program.post("/keys", asked, status=400)["error"]["fields"]
    assert program.call("post", f"/keys/{of_root.pk}/rotate").status_code == 403
    assert program.call("patch", f"/keys/{plain.pk}", {"scopes": ["fleet"]}).status_code == 400
    assert program.post("/keys", asked | {"owner": "ada", "scopes": ["inference"]}, status=201)["owner"] == "ada"
    browser = Client()
    browser.force_login(user)
    page = browser.post(
        "/admin/gateway/apikey/add/", {"name": "mine", "owner": root.pk, "scopes": ["fleet"], "valid_for": "90"}
    )
    assert "scopes" in page.context["adminform"].form.errors
    browser.post(f"/admin/gateway/apikey/{of_root.pk}/rotate/", {"grace": "0"})
    before = of_root.key_hash
    of_root.refresh_from_db()
    assert (of_root.key_hash, APIKey.objects.filter(owner=root).count()) == (before, 2)


def test_a_team_and_its_people_over_rest(program, ada):
    made = program.post("/teams", {"name": "research", "max_cost_per_month": "50"}, status=201)
    path = f"/teams/{made['id']}"
    assert program.post(path + "/assign", {"user": "ada", "role": "manager"})["members"] == {"ada": "manager"}
    ada.refresh_from_db()
    assert ada.manages_team
    assert AuditEntry.objects.filter(object_kind="accounts.user", act="assign").get().after["team_role"] == "manager"
    assert program.post(path + "/dismiss", {"user": "ada"})["members"] == {}
    issue_key(ada, "nightly", team=Team.objects.get())
    assert program.call("delete", path).status_code == 409


def test_a_key_is_judged_over_rest(gateway, replica, program, user):
    key, _ = issue_key(user, "narrow", allowed_models=["gpt-*"])
    gateway.refresh()
    found = program.post(f"/keys/{key.pk}/explain", {"model": "fake-1"})
    refused = [verdict for verdict in found["verdicts"] if verdict["outcome"] == "refused"]
    assert found["can_call"] is False
    assert [(one["condition"], one["status"], one["code"]) for one in refused] == [
        ("allowed_models", 404, "model_not_found")
    ]


def test_a_key_from_the_command_line(ada):
    Team.objects.create(name="research")
    told = run("keys", "issue", "nightly", "--owner", "ada", "--team", "research", "--max-tokens-per-day", "100")
    key = APIKey.objects.get()
    assert read_keyring().entry(told.split()[0]).caller.key_id == key.pk
    run("keys", "change", "nightly", "--model", "qwen-*", "--max-tokens-per-day", "none")
    (listed,) = json.loads(run("keys", "list", "--json"))
    assert (listed["team"], listed["allowed_models"], listed["max_tokens_per_day"]) == ("research", ["qwen-*"], None)
    rotated = run("keys", "rotate", str(key.pk)).split()[0]
    assert read_keyring().entry(rotated).caller.key_id == key.pk
    assert "disabled" in run("keys", "disable", key.name)
    assert "so already" in run("keys", "disable", key.name)
    assert "nightly" in run("keys", "list")
    entry = AuditEntry.objects.filter(act="keys issue").get()
    assert "sk-flt-" not in json.dumps(entry.after)


def test_a_team_from_the_command_line(ada):
    run("teams", "add", "research", "--weight", "3", "--max-requests-per-minute", "60")
    run("teams", "assign", "ada", "research", "--role", "manager")
    run("teams", "add-account", "bot", "research")
    (team,) = json.loads(run("teams", "list", "--json"))
    assert (team["managers"], team["members"], team["max_requests_per_minute"]) == ("ada", "ada, bot", 60)
    run("teams", "change", "research", "--max-requests-per-minute", "none")
    assert Team.objects.get().max_requests_per_minute is None
    run("teams", "assign", "ada", "none")
    run("teams", "remove", "research")
    assert not Team.objects.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["keys", "issue", "x", "--owner", "nobody"], "no user called nobody"),
        (["keys", "issue", "x", "--owner", "ada", "--max-tokens-per-day", "many"], "max_tokens_per_day"),
        (["keys", "issue", "x", "--owner", "ada", "--network", "all"], "networks"),
        (["keys", "revoke", "99"], "no key 99"),
        (["keys", "change", "twice", "--model", "a"], "more than one"),
        (["teams", "add", "x", "--weight", "0"], "weight"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_done(ada, words, told):
    for _ in range(2):
        issue_key(ada, "twice")
    with pytest.raises(CommandError, match=told):
        run(*words)
    assert (APIKey.objects.filter(allowed_models=[]).count(), Team.objects.count()) == (2, 0)
