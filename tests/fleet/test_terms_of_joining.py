"""Under which conditions a machine may join: from where, with which labels, and after whose approval."""

import pytest
from django.test import Client

from fleet.attention import findings
from fleet.enrolment import Terms, enrol, usable_join_token
from fleet.errors import JoinTokenRefused
from fleet.heartbeats import record_heartbeat
from fleet.membership import approve, revoke
from fleet.models import JoinToken, Transition, Worker, WorkerState
from fleet.overview import read_overview
from fleet.probes import probe_workers
from fleet.reconciler import reconcile
from protocol.control import DesiredState
from tests.fleet.conftest import enrolment, heartbeat

OFFICE = Terms(networks=["10.20.0.0/16", "fd00:20::/32"])


@pytest.mark.parametrize("peer", ["10.20.3.4", "::ffff:10.20.3.4", "fd00:20::7"])
def test_a_token_lets_in_from_its_networks(issue, peer):
    token, text = issue(terms=OFFICE)
    assert usable_join_token(text, peer) == token


@pytest.mark.parametrize("peer", ["10.21.0.1", "127.0.0.1", "fd00:21::7", "", "nonsense"])
def test_a_token_lets_nobody_in_from_elsewhere_and_takes_no_use(issue, peer):
    _, text = issue(terms=OFFICE)
    with pytest.raises(JoinTokenRefused, match=r"10\.20\.0\.0/16"):
        enrol(text, enrolment(), peer=peer)
    assert JoinToken.objects.get().num_uses == 0


def test_a_token_without_networks_lets_in_from_anywhere(issue):
    assert usable_join_token(issue()[1], "203.0.113.9")


def test_the_joiner_gets_the_token_s_labels(issue):
    enrol(issue(terms=Terms(labels={"gpu": "h100"}))[1], enrolment())
    assert Worker.objects.get().labels == {"gpu": "h100"}


@pytest.fixture
def pending(issue) -> Worker:
    """A worker that joined, beats, and waits for approval."""
    enrol(issue(terms=Terms(needs_approval=True))[1], enrolment(address="http://127.0.0.1:9"))
    worker = Worker.objects.get()
    beat(worker, 1)
    return worker


def beat(worker: Worker, sequence: int) -> DesiredState:
    worker.refresh_from_db()
    return record_heartbeat(worker, heartbeat(sequence=sequence, address=worker.address))


def test_a_worker_that_needs_approval_is_told_so_and_runs_nothing(pending, make_deployment):
    make_deployment()
    reconcile()
    told = beat(pending, 2)
    assert (pending.state, told.awaits_approval, told.replicas) == (WorkerState.PENDING, True, [])


def test_nobody_calls_a_worker_that_was_not_approved(pending):
    probe_workers()
    pending.refresh_from_db()
    assert pending.probed_at is None


def test_it_is_shown_to_the_administrator(pending):
    assert "Worker box-1 waits for approval" in [finding.title for finding in findings(read_overview())]


def test_an_approved_worker_gets_what_waited(pending, make_deployment):
    make_deployment()
    assert [approve(pending), approve(pending)] == [True, False]
    assert len(beat(pending, 2).replicas) == 1
    changes = Transition.objects.filter(replica_id=None).order_by("pk").values_list("before", "after")
    assert list(changes) == [("", "silent"), ("silent", "pending"), ("pending", "alive")]


def test_a_worker_that_was_turned_away_cannot_be_approved_any_more(pending):
    revoke(pending)
    assert not approve(pending)


def test_approving_takes_a_confirmation(admin_client: Client, pending):
    admin_client.get(f"/admin/fleet/worker/{pending.pk}/approve/")
    assert Worker.objects.get().awaits_approval
    admin_client.post(f"/admin/fleet/worker/{pending.pk}/approve/", {"_form_submitted": "on"})
    assert not Worker.objects.get().awaits_approval


FORM = {"name": "rack 4", "valid_for": "24", "max_uses": "1"}


def test_the_conditions_are_set_when_a_token_is_issued(admin_client: Client):
    conditions = {"networks": "10.0.0.0/8, 192.168.1.7", "labels": "gpu=h100", "needs_approval": "on"}
    admin_client.post("/admin/fleet/jointoken/add/", FORM | conditions)
    token = JoinToken.objects.get()
    assert (token.networks, token.labels, token.needs_approval) == (
        ["10.0.0.0/8", "192.168.1.7/32"],
        {"gpu": "h100"},
        True,
    )


@pytest.mark.parametrize(
    ("field", "value", "advice"),
    [("networks", "10.0.0.0/33", "is not a network"), ("labels", "gpu", "is not a list of labels")],
)
def test_a_condition_that_cannot_be_read_is_named(admin_client: Client, field, value, advice):
    page = admin_client.post("/admin/fleet/jointoken/add/", FORM | {field: value}).content.decode()
    assert advice in page
    assert not JoinToken.objects.exists()
