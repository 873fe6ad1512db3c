"""Desired state becomes Replica rows."""

import threading
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import ProtectedError
from django.utils.timezone import now

from fleet.heartbeats import mark_lost
from fleet.models import Deployment, Replica, Worker
from fleet.placement import Why
from fleet.placement_input import state_refusal
from fleet.reconciler import reconcile


def test_a_deployment_gets_its_replicas(make_worker, make_deployment):
    make_worker()
    deployment = make_deployment(num_replicas=3)
    reconcile()
    assert sorted(deployment.replicas.values_list("slot", flat=True)) == [0, 1, 2]


def test_reconciling_twice_changes_nothing(make_worker, make_deployment):
    make_worker()
    make_deployment()
    reconcile()
    assert reconcile().place == []


def test_a_changed_deployment_gets_a_new_replica_and_the_old_one_is_retired(make_worker, make_deployment):
    make_worker()
    deployment = make_deployment()
    reconcile()
    deployment.source = "delay=1"
    deployment.save()
    reconcile()
    assert deployment.replicas.desired().get().spec["source"] == "delay=1"
    assert deployment.replicas.exclude(retired_at=None).count() == 1


def test_another_worker_that_joins_changes_nothing_of_what_runs(make_worker, make_deployment):
    first = make_worker()
    make_deployment()
    reconcile()
    make_worker("box-2")
    reconcile()
    assert Replica.objects.get().worker == first


def test_a_worker_lost_for_long_loses_its_replicas_to_another(make_worker, make_deployment, time_machine):
    make_worker()
    deployment = make_deployment()
    reconcile()
    time_machine.move_to(now() + timedelta(minutes=5))
    mark_lost()
    other = make_worker("box-2")
    reconcile()
    assert deployment.replicas.desired().get().worker != other
    time_machine.move_to(now() + settings.MOVE_AFTER + timedelta(seconds=1))
    Worker.objects.filter(pk=other.pk).update(last_heartbeat_at=now())
    reconcile()
    assert deployment.replicas.desired().get().worker == other


def test_a_revoked_worker_keeps_no_rows(make_worker, make_deployment):
    worker = make_worker()
    make_deployment()
    reconcile()
    worker.revoke()
    reconcile()
    assert Replica.objects.count() == 0


def test_what_cannot_be_placed_says_why(make_worker, make_deployment):
    make_worker(cordoned=True)
    make_deployment()
    (unplaced,) = reconcile().unplaced
    assert [(name, refusal.why) for name, refusal in unplaced.refusals] == [("box-1", Why.CORDONED)]


def test_what_was_measured_of_one_replica_is_what_the_next_one_needs(make_worker, make_deployment):
    box = {"kind": "cpu", "memory_total_bytes": 16 * 2**30, "memory_free_bytes": 2 * 2**30}
    make_worker(hardware={"devices": [box]})
    deployment = make_deployment()
    reconcile()
    Replica.objects.update(phase="ready", memory_bytes=3 * 2**30)
    Deployment.objects.filter(pk=deployment.pk).update(num_replicas=2)
    (unplaced,) = reconcile().unplaced
    assert unplaced.refusals[0][1].text == "needs 3.0 GB (as measured), 2.0 GB free"


def test_a_stopped_deployment_runs_nowhere_and_keeps_its_number(make_worker, make_deployment):
    make_worker()
    deployment = make_deployment(num_replicas=2, is_stopped=True)
    reconcile()
    assert (deployment.replicas.count(), deployment.num_replicas) == (0, 2)


def test_a_worker_that_something_is_pinned_to_cannot_be_deleted(make_worker, make_deployment):
    worker = make_worker()
    make_deployment().pinned_to.add(worker)
    with pytest.raises(ProtectedError):
        worker.delete()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"maintenance_remark": "new fans"}, "under maintenance: new fans"),
        ({"last_heartbeat_at": timedelta(hours=-1)}, "silent for 60 min"),
        ({"last_heartbeat_at": None}, "has never been heard"),
        ({"is_draining": True}, "draining"),
        ({"drain_requested_at": now()}, "draining"),
    ],
)
def test_a_worker_in_no_state_to_take_a_replica_says_which(make_worker, fields, said):
    # Ages are counted from here: these parameters were made when the run began, perhaps long ago.
    since = {name: now() + value for name, value in fields.items() if isinstance(value, timedelta)}
    refusal = state_refusal(make_worker(**fields | since))
    assert refusal is not None
    assert refusal.text == said


@pytest.mark.django_db(transaction=True)
def test_processes_that_reconcile_at_once_fill_each_slot_once(make_worker, make_deployment):
    make_worker()
    make_worker("box-2")
    make_deployment(num_replicas=3)
    start = threading.Barrier(4)
    failures: list[Exception] = []

    def race() -> None:
        start.wait()
        try:
            reconcile()
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    racers = [threading.Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert failures == []
    assert sorted(Replica.objects.values_list("slot", flat=True)) == [0, 1, 2]
