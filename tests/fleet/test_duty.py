"""What an administrator decides about a worker's duty, and what becomes of its replicas."""

import pytest

from fleet import maintenance
from fleet.errors import ActRefused
from fleet.models import Cause, Deployment, Duty, Replica, Transition, Worker
from fleet.reconciler import reconcile


@pytest.fixture
def worker(make_worker, make_deployment) -> Worker:
    """With one replica of echo-1, which is ready."""
    worker = make_worker("box-1")
    make_deployment()
    reconcile()
    Replica.objects.update(phase="ready")
    return worker


def duty(worker: Worker) -> Duty:
    return Worker.objects.get(pk=worker.pk).duty


def test_each_decision_is_taken_once(worker, make_worker):
    make_worker("box-2")
    decisions = (maintenance.cordon, maintenance.drain, maintenance.uncordon)
    assert [(decide(worker), decide(worker)) for decide in decisions] == [(True, False)] * 3


def test_a_cordoned_worker_keeps_what_it_has(worker, make_worker):
    make_worker("box-2")
    maintenance.cordon(worker)
    assert Replica.objects.desired().get().worker == worker


def test_a_drained_worker_hands_everything_over(worker, make_worker):
    other = make_worker("box-2")
    maintenance.drain(worker)
    assert other in {replica.worker for replica in Replica.objects.desired()}


def test_a_drain_that_would_stop_a_model_is_refused_by_its_name(worker):
    with pytest.raises(ActRefused, match="No other worker can take over: echo-1"):
        maintenance.drain(worker)
    assert duty(worker) is Duty.IN_SERVICE


def test_a_drain_that_may_stop_what_has_no_other_place_empties_the_worker(worker):
    maintenance.drain(worker, may_stop=True)
    assert not Replica.objects.desired().exists()


def test_what_is_pinned_to_a_worker_has_no_other_place(worker, make_worker):
    make_worker("box-2")
    Deployment.objects.get().pinned_to.add(worker)
    assert maintenance.stranded(worker) == ["echo-1"]


def test_a_drained_worker_gets_nothing_until_it_is_returned_to_service(worker, make_deployment):
    maintenance.drain(worker, may_stop=True)
    reconcile()
    assert not Replica.objects.desired().exists()
    maintenance.uncordon(worker)
    assert Replica.objects.desired().get().worker == worker


def test_maintenance_needs_a_remark(worker):
    with pytest.raises(ActRefused, match="Say in the remark"):
        maintenance.maintain(worker, "  ", may_stop=True)


def test_a_remark_can_be_changed_and_ends_with_the_return_to_service(worker):
    maintenance.maintain(worker, "new fans", may_stop=True)
    worker.refresh_from_db()
    maintenance.maintain(worker, "new fans, until Friday", may_stop=True)
    assert Worker.objects.get().maintenance_remark == "new fans, until Friday"
    maintenance.uncordon(worker)
    assert (duty(worker), Worker.objects.get().maintenance_remark) == (Duty.IN_SERVICE, "")


def test_a_revoked_worker_has_no_duty_to_decide(worker):
    worker.revoke()
    assert not maintenance.cordon(worker)


def test_what_was_decided_stands_in_the_timeline(worker):
    maintenance.maintain(worker, "new fans", may_stop=True)
    entry = Transition.objects.get(cause=Cause.ADMINISTRATOR)
    assert (entry.before, entry.after, entry.detail) == (Duty.IN_SERVICE, Duty.MAINTENANCE, "new fans")


def test_a_worker_that_still_runs_something_is_not_removed(worker):
    with pytest.raises(ActRefused, match="Drain it first"):
        maintenance.remove(worker)


def test_an_empty_worker_is_removed(make_worker):
    maintenance.remove(make_worker())
    assert not Worker.objects.exists()


def test_a_lost_worker_is_removed_and_its_replicas_go_elsewhere(worker, make_worker):
    other = make_worker("box-2")
    Worker.objects.filter(pk=worker.pk).update(last_heartbeat_at=None)
    worker.refresh_from_db()
    maintenance.remove(worker)
    assert Replica.objects.get().worker == other


def test_a_worker_that_something_is_pinned_to_is_not_removed(worker):
    Deployment.objects.get().pinned_to.add(worker)
    Worker.objects.update(last_heartbeat_at=None)
    worker.refresh_from_db()
    with pytest.raises(ActRefused, match="Deployments are pinned to box-1: echo-1"):
        maintenance.remove(worker)
