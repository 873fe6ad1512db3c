"""Desired state becomes Replica rows."""

import threading
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils.timezone import now

from fleet.heartbeats import mark_lost
from fleet.models import Replica, Worker
from fleet.placement import Refusal
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
    assert unplaced.refusals == {"box-1": Refusal.CORDONED}


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
