"""How much of a deployment runs."""

import pytest

from fleet import scaling
from fleet.errors import ActRefused
from fleet.models import Deployment, Replica
from fleet.reconciler import reconcile


@pytest.fixture
def deployment(make_worker, make_deployment) -> Deployment:
    """Of two replicas on two workers, both ready."""
    make_worker("box-1")
    make_worker("box-2")
    deployment = make_deployment(num_replicas=2)
    reconcile()
    Replica.objects.update(phase="ready")
    return deployment


def slots() -> list[int]:
    return sorted(Replica.objects.desired().values_list("slot", flat=True))


def test_a_stopped_deployment_starts_again_with_as_many_replicas(deployment):
    assert scaling.stop(deployment)
    assert slots() == []
    assert scaling.start(deployment)
    assert slots() == [0, 1]


def test_stopping_and_starting_twice_changes_nothing(deployment):
    assert (scaling.start(deployment), scaling.stop(deployment), scaling.stop(deployment)) == (False, True, False)


@pytest.mark.parametrize("number", [1, 3])
def test_a_deployment_is_scaled(deployment, number):
    assert scaling.scale(deployment, number)
    assert slots() == list(range(number))


@pytest.mark.parametrize("number", [0, -1, 65])
def test_a_number_that_no_deployment_may_have_is_refused(deployment, number):
    with pytest.raises(ActRefused, match="1 to 64 replicas"):
        scaling.scale(deployment, number)


def test_of_two_who_scale_at_once_the_second_is_told(deployment):
    as_read = Deployment.objects.get()
    scaling.scale(deployment, 3)
    with pytest.raises(ActRefused, match="Somebody else"):
        scaling.scale(as_read, 1)


def test_scaling_starts_what_was_stopped(deployment):
    scaling.stop(deployment)
    deployment.refresh_from_db()
    scaling.scale(deployment, 2)
    assert slots() == [0, 1]


def test_a_restarted_replica_gets_a_successor_and_the_others_stay(deployment):
    first, second = Replica.objects.order_by("slot")
    assert scaling.restart(Replica.objects.filter(pk=first.pk)) == 1
    Replica.objects.update(phase="ready")
    reconcile()
    ids = set(Replica.objects.desired().values_list("pk", flat=True))
    assert (first.pk in ids, second.pk in ids, len(ids)) == (False, True, 2)


@pytest.mark.parametrize("slot", [0, 1])
def test_the_replica_that_is_stopped_is_the_one_that_goes(deployment, slot):
    victim, other = Replica.objects.get(slot=slot), Replica.objects.get(slot=1 - slot)
    assert scaling.stop_one(victim)
    assert [replica.pk for replica in Replica.objects.desired()] == [other.pk]
    assert (slots(), Deployment.objects.get().num_replicas) == ([0], 1)


def test_a_replica_is_stopped_once(deployment):
    victim = Replica.objects.select_related("deployment").get(slot=0)
    assert (scaling.stop_one(victim), scaling.stop_one(victim)) == (True, False)
    assert Deployment.objects.get().num_replicas == 1


def test_the_last_replica_stops_its_deployment_which_keeps_its_number(make_worker, make_deployment):
    make_worker()
    make_deployment()
    reconcile()
    scaling.stop_one(Replica.objects.get())
    assert (Deployment.objects.get().is_stopped, Deployment.objects.get().num_replicas) == (True, 1)
