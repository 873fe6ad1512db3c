"""An administrator runs the fleet while people use it: real daemons, a real gateway, a steady load of real requests."""

import pytest
from django.core.management import call_command

from fleet.models import Deployment, Duty, Replica, Worker, WorkerState
from tests.journeys.load import failures, steady_load
from tests.journeys.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def running(start_worker, deploy, web):
    """A slow echo, ready on two workers; `.daemons` are their processes, by name."""

    def run(num_replicas: int) -> Deployment:
        daemons = {name: start_worker(name) for name in ("worker-0", "worker-1")}
        wait_until(lambda: Worker.objects.alive().count() == 2, what="both have joined", log=web.log)
        deployment = deploy("echo", source="delay=0.02", num_replicas=num_replicas)
        wait_for_ready(deployment, num_replicas, web.log)
        deployment.daemons = daemons
        return deployment

    return run


def wait_for_ready(deployment: Deployment, number: int, log) -> None:
    """Until so many replicas are there, wanted or not, and all are ready."""

    def is_so() -> bool:
        rows = list(Replica.objects.filter(deployment=deployment))
        return len(rows) == number and all(row.phase == "ready" and not row.retired_at for row in rows)

    wait_until(is_so, what=f"{number} replicas are ready and no other is left", log=log)


def places(deployment: Deployment) -> list[str]:
    return sorted(deployment.replicas.desired().values_list("worker__name", flat=True))


def test_a_drained_worker_hands_its_only_replica_over_and_can_be_removed(running, web, key):
    deployment = running(1)
    (busy,) = places(deployment)
    with steady_load(web, key) as callers:
        call_command("fleet", "drain", busy, "--wait", str(PATIENCE_S))
        assert all(caller.is_answered_again() for caller in callers)
    assert failures(callers) == []
    assert places(deployment) == [{"worker-0": "worker-1", "worker-1": "worker-0"}[busy]]
    call_command("fleet", "remove", busy)
    assert not Worker.objects.filter(name=busy).exists()


def test_a_machine_is_taken_out_for_maintenance_switched_off_and_put_back(running, web, key):
    deployment = running(2)
    daemon = deployment.daemons["worker-0"]
    with steady_load(web, key) as callers:
        call_command("fleet", "maintain", "worker-0", "--remark", "new fans", "--wait", str(PATIENCE_S))
        assert daemon.terminate() == 0
        assert all(caller.is_answered_again() for caller in callers)
        assert places(deployment) == ["worker-1", "worker-1"]
        daemon.start(web.url, "")
        call_command("fleet", "uncordon", "worker-0")
        back = Worker.objects.filter(name="worker-0")
        wait_until(lambda: back.get().state is WorkerState.ALIVE, what="it is back", log=daemon.log)
        call_command("fleet", "scale", "echo", "3")
        wait_for_ready(deployment, 3, web.log)
    assert failures(callers) == []
    assert places(deployment) == ["worker-0", "worker-1", "worker-1"]
    assert Worker.objects.get(name="worker-0").duty is Duty.IN_SERVICE


def test_replicas_are_restarted_added_and_taken_away_without_a_lost_request(running, web, key):
    deployment = running(1)
    first = deployment.replicas.get()
    with steady_load(web, key) as callers:
        call_command("fleet", "restart-replica", str(first.pk))
        wait_until(lambda: not Replica.objects.filter(pk=first.pk).exists(), what="another took over", log=web.log)
        call_command("fleet", "scale", "echo", "3")
        wait_for_ready(deployment, 3, web.log)
        call_command("fleet", "stop-replica", str(deployment.replicas.order_by("slot").first().pk))
        wait_for_ready(deployment, 2, web.log)
        call_command("fleet", "scale", "echo", "1")
        wait_for_ready(deployment, 1, web.log)
        assert all(caller.is_answered_again() for caller in callers)
    assert failures(callers) == []
