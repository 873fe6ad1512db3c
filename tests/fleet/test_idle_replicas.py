"""A replica that sleeps is a good one: it is counted, kept and routed to, and holds no memory."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from fleet.attention import findings
from fleet.heartbeats import record_heartbeat
from fleet.models import Deployment, Replica, Worker
from fleet.overview import read_overview
from fleet.reconciler import reconcile
from fleet.snapshot import read_fleet_snapshot
from protocol.control import ModelInfo, ReplicaPhase, ReplicaStatus
from tests.fleet.conftest import heartbeat

INFO = ModelInfo(context_length=4096, capabilities=["chat"])
UNAWAKE = pytest.mark.parametrize("phase", [ReplicaPhase.ASLEEP, ReplicaPhase.WAKING])


@pytest.fixture
def replica(make_worker, make_deployment) -> Replica:
    """Ready for an hour, of the version in force."""
    make_worker()
    make_deployment(idle_unload_minutes=5)
    reconcile()
    Replica.objects.update(phase="ready", ready_at=now() - timedelta(hours=1), capabilities=["chat"])
    reconcile()
    return Replica.objects.get()


def tell(replica: Replica, phase: ReplicaPhase, sequence: int = 2) -> None:
    status = ReplicaStatus(replica_id=str(replica.pk), phase=phase, info=INFO)
    replica.worker.refresh_from_db()
    record_heartbeat(replica.worker, heartbeat(sequence=sequence, replicas=[status]))
    replica.refresh_from_db()


def test_a_worker_is_told_when_a_replica_may_sleep_and_hears_of_a_change_without_a_restart(replica):
    (wanted,) = record_heartbeat(replica.worker, heartbeat(sequence=2)).replicas
    assert wanted.idle_unload_s == 300
    Deployment.objects.update(idle_unload_minutes=None)
    reconcile()
    (changed,) = record_heartbeat(replica.worker, heartbeat(sequence=3)).replicas
    assert (changed.idle_unload_s, changed.replica_id) == (None, wanted.replica_id)


@UNAWAKE
def test_it_gets_requests_and_its_model_is_offered(replica, phase):
    tell(replica, phase)
    fleet = read_fleet_snapshot()
    assert [found.phase for found in fleet.replicas["echo-1"]] == [phase]
    assert fleet.models["echo-1"].capabilities == {"chat"}


@UNAWAKE
def test_it_is_as_ready_as_it_was(replica, phase):
    before = replica.ready_at
    tell(replica, phase)
    assert replica.ready_at == before


@UNAWAKE
def test_it_asks_for_nothing_and_counts_as_ready(replica, phase):
    tell(replica, phase)
    overview = read_overview()
    assert (list(findings(overview)), overview.num_ready) == ([], 1)
    assert overview.deployments[0].phase == phase


def test_a_deployment_of_which_one_replica_is_awake_is_ready(replica, make_worker):
    make_worker("box-2")
    Deployment.objects.update(num_replicas=2)
    reconcile()
    Replica.objects.exclude(pk=replica.pk).update(phase="asleep")
    assert read_overview().deployments[0].phase == ReplicaPhase.READY


def test_its_page_says_that_it_is_asleep_and_why(replica, admin_client: Client):
    tell(replica, ReplicaPhase.ASLEEP)
    page = admin_client.get(reverse("admin:fleet_deployment_change", args=[replica.deployment_id])).content.decode()
    assert "asleep" in page
    assert "The next request wakes it." in page


@UNAWAKE
def test_it_is_kept_until_its_successor_has_proven_itself(replica, phase):
    tell(replica, phase)
    Deployment.objects.update(source="delay=0.1")
    reconcile()
    replica.refresh_from_db()
    assert (replica.retired_at, Replica.objects.count()) == (None, 2)


def test_a_new_version_that_falls_asleep_has_proven_itself_all_the_same(replica):
    Deployment.objects.update(source="delay=0.1")
    reconcile()
    Replica.objects.exclude(pk=replica.pk).update(phase="asleep", ready_at=now() - timedelta(hours=1))
    reconcile()
    replica.refresh_from_db()
    assert replica.retired_at


def test_what_it_would_need_is_free_for_others_until_it_wakes(replica, make_deployment):
    memory = {"kind": "cpu", "memory_total_bytes": 8 << 30, "memory_free_bytes": 8 << 30}
    Worker.objects.update(hardware={"devices": [memory]})
    Deployment.objects.update(memory_gb=6)
    other = make_deployment("other", memory_gb=6)
    Replica.objects.update(phase="waking")
    assert [one.deployment.deployment_id for one in reconcile().unplaced] == [other.pk]
    Replica.objects.update(phase="asleep")
    assert not reconcile().unplaced
