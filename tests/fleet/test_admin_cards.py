"""The lists of workers and deployments: a card each, with all that one may do there."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils.timezone import now

from fleet.heartbeats import record_heartbeat
from fleet.models import Deployment, Replica, Rollout, RolloutPhase, Worker
from fleet.reconciler import reconcile
from protocol.control import ReplicaPhase, ReplicaStatus
from tests.fleet.conftest import heartbeat

WORKERS, DEPLOYMENTS = "/admin/fleet/worker/", "/admin/fleet/deployment/"
CONFIRMED = {"_form_submitted": "on"}


def page(client: Client, url: str) -> str:
    return client.get(url).content.decode()


def acts(html: str, kind: str, pk: object) -> set[str]:
    """Those that the page has a button for."""
    return set(re.findall(rf'hx-get="/admin/fleet/{kind}/{pk}/(\w+)/"', html))


@pytest.fixture
def placed(make_worker, make_deployment) -> Replica:
    make_worker("box-1", software_version="9.9.9")
    make_deployment("parrot")
    reconcile()
    return Replica.objects.get()


def test_a_worker_s_card_tells_its_models_and_how_full_it_is(admin_client: Client, placed):
    device = {"kind": "cpu", "name": "EPYC", "memory_total_bytes": 4 * 2**30, "memory_free_bytes": 2**30}
    Worker.objects.update(hardware={"devices": [device]})
    card = page(admin_client, WORKERS)
    for told in ("box-1", "9.9.9", "parrot", "pending", "3.0\xa0GB of 4.0\xa0GB"):
        assert told in card


def test_a_worker_s_memory_is_not_told_when_nobody_vouches_for_it(admin_client: Client, make_worker):
    device = {"kind": "cpu", "name": "EPYC", "memory_total_bytes": 4 * 2**30, "memory_free_bytes": 2**30}
    make_worker(last_heartbeat_at=None, hardware={"devices": [device]})
    assert "4.0\xa0GB" not in page(admin_client, WORKERS)


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"cordoned": True, "maintenance_remark": "new fan"}, "Under maintenance: new fan"),
        ({"probe_failure": "refused", "probed_at": now}, "the connection is refused: nothing listens there"),
        ({"awaits_approval": True}, "It runs nothing until somebody approves it."),
        ({"last_heartbeat_at": None}, "No heartbeat comes"),
    ],
)
def test_a_worker_s_card_says_why_it_is_as_it_is(admin_client: Client, make_worker, fields, cause):
    make_worker(**{name: value() if callable(value) else value for name, value in fields.items()})
    assert cause in page(admin_client, WORKERS)


def test_what_one_may_do_with_a_worker_and_its_replicas_is_on_its_card(admin_client: Client, placed):
    shown = page(admin_client, WORKERS)
    assert acts(shown, "worker", placed.worker_id) == {"cordon", "drain", "maintain", "remove"}
    assert acts(shown, "replica", placed.pk) == {"restart", "stop_one"}


@pytest.mark.parametrize(("permission", "is_marked"), [("view_worker", False), ("change_worker", True)])
def test_buttons_are_shown_to_those_who_may(client: Client, django_user_model, make_worker, permission, is_marked):
    person = django_user_model.objects.create_user("maria", is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename=permission))
    client.force_login(person)
    make_worker()
    assert ("flt-may-worker" in page(client, WORKERS)) is is_marked


def test_after_an_act_one_is_where_one_was(admin_client: Client, placed):
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{WORKERS}?q=box"}
    answer = admin_client.post(f"{WORKERS}{placed.worker_id}/cordon/", CONFIRMED, headers=headers)
    assert answer["HX-Redirect"] == f"http://testserver{WORKERS}?q=box"


def test_nobody_is_led_elsewhere(admin_client: Client, placed):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://elsewhere.example/admin/"}
    answer = admin_client.post(f"{WORKERS}{placed.worker_id}/cordon/", CONFIRMED, headers=headers)
    assert answer["HX-Redirect"] == f"{WORKERS}{placed.worker_id}/change/"


def test_a_deployment_s_card_shows_what_is_observed_beside_what_is_desired(admin_client: Client, make_worker, placed):
    Deployment.objects.update(num_replicas=2)
    Worker.objects.update(cordoned=True)
    reconcile()
    Replica.objects.update(phase="failed", error="out of memory", num_restarts=4)
    card = page(admin_client, DEPLOYMENTS)
    for told in ("Desired", "Observed", "out of memory", "no place", "1 replica has no place", "cordoned"):
        assert told in card
    assert acts(card, "replica", placed.pk) == {"restart", "stop_one"}


def test_a_replica_that_ran_out_of_memory_says_what_helps(admin_client: Client, placed):
    status = ReplicaStatus(replica_id=str(placed.pk), phase=ReplicaPhase.READY, num_out_of_memory=2, max_step_tokens=64)
    record_heartbeat(placed.worker, heartbeat(replicas=[status]))
    told = "2 steps ran out of memory, so steps have 64 tokens at most now. Lower the options max_num_batched_tokens"
    assert told in page(admin_client, DEPLOYMENTS)


def test_a_rollout_is_followed_replica_by_replica(admin_client: Client, placed):
    Replica.objects.update(phase="ready", ready_at=now(), observed_at=now())
    reconcile()
    Deployment.objects.update(max_concurrency=3)
    reconcile()
    assert Rollout.objects.filter(phase=RolloutPhase.RUNNING).exists()
    card = page(admin_client, DEPLOYMENTS)
    assert "Replicas of the new version that are ready: 0 / 1" in card
    assert "roll_back" in acts(card, "deployment", placed.deployment_id)


@pytest.mark.parametrize(
    ("url", "hint"), [(WORKERS, "Issue a join token"), (DEPLOYMENTS, "Deploy a model")], ids=["workers", "deployments"]
)
def test_an_empty_list_says_what_to_do(admin_client: Client, url, hint):
    assert hint in page(admin_client, url)
    assert "Nothing matches" in page(admin_client, f"{url}?q=nowhere")
