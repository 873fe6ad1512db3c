"""A deployment is changed while people use it: with real daemons, a real gateway and a steady load of real requests."""

import pytest

from fleet.models import Deployment, Replica, Rollout, RolloutPhase, Strategy, Worker
from fleet.reconciler import reconcile
from gateway.models import UsageRecord
from tests.journeys.load import failures, steady_load
from tests.journeys.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick_proof(monkeypatch):
    """The web process, which does the work, is started with this. Its patience is for a busy machine."""
    monkeypatch.setenv("ROLLOUT_PROVING_S", "3")
    monkeypatch.setenv("RETURN_WITHIN_S", "60")


def change(deployment: Deployment, **fields: object) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(**fields)
    reconcile()


def wait_for_rollout(deployment: Deployment, revision: int, phase: RolloutPhase, log) -> Rollout:
    rollouts = Rollout.objects.filter(deployment=deployment, revision=revision, phase=phase)
    rollout = wait_until(rollouts.first, what=f"rollout {revision} is {phase}", log=log)
    assert rollout is not None
    return rollout


def sources(deployment: Deployment) -> list[str]:
    return sorted(row.spec["source"] for row in Replica.objects.filter(deployment=deployment))


@pytest.fixture
def running(start_worker, deploy, web):
    """Version 1, a slow echo, in force with as many replicas as workers."""

    def run(num_workers: int = 1, **fields: object) -> Deployment:
        for number in range(num_workers):
            start_worker(f"worker-{number}")
        wait_until(lambda: Worker.objects.alive().count() == num_workers, what="all have joined", log=web.log)
        deployment = deploy("echo", source="delay=0.02", num_replicas=num_workers, **fields)
        wait_for_rollout(deployment, 1, RolloutPhase.IN_FORCE, web.log)
        return deployment

    return run


def test_two_replicas_on_two_workers_are_replaced_without_a_lost_request(running, web, key):
    deployment = running(2)
    workers = sorted(deployment.replicas.values_list("worker__name", flat=True))
    with steady_load(web, key) as callers:
        change(deployment, source="delay=0.01")
        wait_for_rollout(deployment, 2, RolloutPhase.IN_FORCE, web.log)
        wait_until(lambda: sources(deployment) == ["delay=0.01"] * 2, what="the old ones are unloaded", log=web.log)
    assert failures(callers) == []
    assert sorted(deployment.replicas.values_list("worker__name", flat=True)) == workers == ["worker-0", "worker-1"]


def test_the_only_replica_is_replaced_beside_itself_without_a_lost_request(running, web, key):
    deployment = running(1)
    with steady_load(web, key) as callers:
        change(deployment, source="delay=0.01")
        wait_for_rollout(deployment, 2, RolloutPhase.IN_FORCE, web.log)
        wait_until(lambda: sources(deployment) == ["delay=0.01"], what="the old one is unloaded", log=web.log)
    assert failures(callers) == []


@pytest.mark.once
def test_in_place_one_replica_goes_at_a_time_while_the_other_answers(running, web, key):
    deployment = running(2, strategy=Strategy.SWAP)
    with steady_load(web, key) as callers:
        change(deployment, source="delay=0.01")
        wait_for_rollout(deployment, 2, RolloutPhase.IN_FORCE, web.log)
    assert failures(callers) == []


def test_in_place_requests_wait_while_the_only_replica_is_replaced(running, web, key):
    deployment = running(1, strategy=Strategy.SWAP)
    with steady_load(web, key) as callers:
        change(deployment, source="delay=0.01,load_time=2")
        wait_for_rollout(deployment, 2, RolloutPhase.IN_FORCE, web.log)
        assert all(caller.is_answered_again() for caller in callers)
    assert failures(callers) == []
    waited = UsageRecord.objects.filter(queue_ms__gt=2000)
    wait_until(lambda: waited.count() >= len(callers), what="it is on record that each has waited", log=web.log)


@pytest.mark.once
@pytest.mark.parametrize(
    ("broken", "words"),
    [("fail_load=1", "told to fail at loading"), ("fail_after=0", "canary")],
    ids=["does not load", "does not answer the canary"],
)
def test_a_version_that_never_becomes_ready_costs_no_request(running, web, key, broken, words):
    deployment = running(1)
    with steady_load(web, key) as callers:
        change(deployment, source=broken)
        rollout = wait_for_rollout(deployment, 2, RolloutPhase.ROLLED_BACK, web.log)
        wait_until(lambda: sources(deployment) == ["delay=0.02"], what="the new one is unloaded", log=web.log)
    assert failures(callers) == []
    assert words in rollout.detail


def test_a_version_that_fails_under_traffic_is_rolled_back_without_a_lost_request(running, web, key):
    deployment = running(1)
    with steady_load(web, key) as callers:
        change(deployment, source="delay=0.02,fail_from=6")
        rollout = wait_for_rollout(deployment, 2, RolloutPhase.ROLLED_BACK, web.log)
        wait_until(lambda: sources(deployment) == ["delay=0.02"], what="the new one is unloaded", log=web.log)
        assert all(caller.is_answered_again() for caller in callers)
    assert failures(callers) == []
    assert rollout.cause == "errors"
