"""What the data plane is told of the fleet."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils.timezone import now

from fleet.models import LanguageModel, Replica, Worker
from fleet.reconciler import reconcile
from fleet.snapshot import read_fleet_snapshot


@pytest.fixture
def ready_replica(make_worker, make_deployment) -> Replica:
    make_worker(address="http://gpu-1.lan:8100", pinned_ip="10.0.0.7", gateway_secret="let me in")
    make_deployment("echo-1", max_concurrency=4)
    reconcile()
    Replica.objects.update(phase="ready", context_length=4096, capabilities=["chat"], num_running=2)
    return Replica.objects.get()


def test_a_ready_replica_can_be_reached(ready_replica):
    (replica,) = read_fleet_snapshot().replicas["echo-1"]
    assert (replica.url, replica.host_header, replica.secret) == ("http://10.0.0.7:8100", "gpu-1.lan:8100", "let me in")
    assert (replica.num_running, replica.max_concurrency, replica.context_length) == (2, 4, 4096)


def test_a_model_has_what_its_replicas_can(ready_replica):
    entry = read_fleet_snapshot().models["echo-1"]
    assert (entry.capabilities, entry.context_length) == (frozenset({"chat"}), 4096)


@pytest.mark.parametrize(
    "change",
    [
        {"is_draining": True},
        {"revoked_at": now()},
        {"last_heartbeat_at": now() - settings.SILENT_AFTER - timedelta(seconds=1)},
        {"last_heartbeat_at": None},
    ],
)
def test_a_worker_that_is_away_gets_no_traffic_but_its_model_is_still_listed(ready_replica, change):
    Worker.objects.update(**change)
    snapshot = read_fleet_snapshot()
    assert "echo-1" not in snapshot.replicas
    assert snapshot.models["echo-1"].capabilities == frozenset()


def test_a_worker_that_falls_silent_leaves_within_three_heartbeats(ready_replica, time_machine):
    time_machine.move_to(now() + 3 * settings.HEARTBEAT_INTERVAL + timedelta(seconds=1))
    assert not read_fleet_snapshot().replicas


@pytest.mark.parametrize("change", [{"phase": "loading"}, {"retired_at": now()}])
def test_a_replica_that_is_not_ready_or_retired_gets_no_traffic(ready_replica, change):
    Replica.objects.update(**change)
    assert not read_fleet_snapshot().replicas


def test_a_cordoned_worker_goes_on_answering(ready_replica):
    Worker.objects.update(cordoned=True)
    assert read_fleet_snapshot().replicas


@pytest.mark.django_db
def test_a_model_without_a_deployment_is_not_listed():
    LanguageModel.objects.create(name="only-an-idea")
    assert not read_fleet_snapshot().models


def test_the_number_of_queries_does_not_grow_with_the_fleet(
    ready_replica, make_worker, make_deployment, django_assert_num_queries
):
    for number in range(2, 6):
        make_worker(f"box-{number}")
        make_deployment(f"echo-{number}", num_replicas=2)
    reconcile()
    Replica.objects.update(phase="ready")
    with django_assert_num_queries(5):
        read_fleet_snapshot()
