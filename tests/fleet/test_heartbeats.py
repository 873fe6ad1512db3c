"""What a worker reports, and what it is told."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils.timezone import now

from fleet.errors import AddressRefused, HeartbeatReplayed, WorkerRevoked
from fleet.heartbeats import mark_lost, record_heartbeat
from fleet.models import Deployment, Replica, Worker, WorkerState
from fleet.reconciler import reconcile
from protocol.control import Download, ModelInfo, ReplicaPhase, ReplicaStatus
from tests.fleet.conftest import heartbeat


def ready(replica_id: object) -> ReplicaStatus:
    info = ModelInfo(context_length=4096, capabilities=["chat"])
    return ReplicaStatus(replica_id=str(replica_id), phase=ReplicaPhase.READY, info=info, num_running=3)


@pytest.fixture
def replica(make_worker, make_deployment) -> Replica:
    make_worker()
    make_deployment()
    reconcile()
    return Replica.objects.get()


def test_a_worker_is_told_what_it_should_run(make_worker, make_deployment):
    worker = make_worker()
    make_deployment("echo-1", source="delay=0.1", max_concurrency=3)
    reconcile()
    (wanted,) = record_heartbeat(worker, heartbeat()).replicas
    assert (wanted.model, wanted.engine, wanted.source, wanted.max_concurrency) == ("echo-1", "echo", "delay=0.1", 3)


def test_what_a_worker_observes_is_stored(replica):
    record_heartbeat(replica.worker, heartbeat(replicas=[ready(replica.pk)]))
    replica.refresh_from_db()
    assert (replica.phase, replica.num_running, replica.context_length) == ("ready", 3, 4096)


def test_how_much_of_a_download_is_here_is_stored_until_it_is_over(replica):
    download = Download(num_bytes=1_200_000, total_bytes=4_000_000)
    loading = ReplicaStatus(replica_id=str(replica.pk), phase=ReplicaPhase.LOADING, progress=0.3, download=download)
    record_heartbeat(replica.worker, heartbeat(sequence=1, replicas=[loading]))
    replica.refresh_from_db()
    assert (replica.progress, replica.downloaded_bytes, replica.download_bytes) == (0.3, 1_200_000, 4_000_000)

    record_heartbeat(replica.worker, heartbeat(sequence=2, replicas=[ready(replica.pk)]))
    replica.refresh_from_db()
    assert (replica.downloaded_bytes, replica.download_bytes) == (0, 0)


def test_a_heartbeat_that_was_heard_before_is_refused(make_worker):
    worker = make_worker()
    record_heartbeat(worker, heartbeat(sequence=7))
    with pytest.raises(HeartbeatReplayed):
        record_heartbeat(worker, heartbeat(sequence=7))


def test_a_restarted_daemon_counts_from_one_again(make_worker):
    worker = make_worker(boot_id="boot-1", sequence=900)
    record_heartbeat(worker, heartbeat(boot_id="boot-2", sequence=1))
    worker.refresh_from_db()
    assert worker.sequence == 1


def test_a_worker_cannot_speak_for_the_replica_of_another(replica, make_worker):
    stranger = make_worker("box-2")
    record_heartbeat(stranger, heartbeat(replicas=[ready(replica.pk)]))
    replica.refresh_from_db()
    assert replica.phase == "pending"


def test_an_unknown_replica_is_ignored(make_worker):
    assert record_heartbeat(make_worker(), heartbeat(replicas=[ready("nobody")])).replicas == []


def test_a_replica_that_is_no_longer_reported_is_pending_again(replica):
    record_heartbeat(replica.worker, heartbeat(sequence=1, replicas=[ready(replica.pk)]))
    record_heartbeat(replica.worker, heartbeat(sequence=2))
    replica.refresh_from_db()
    assert replica.phase == "pending"


def test_a_retired_replica_stays_until_the_worker_has_unloaded_it(replica):
    Deployment.objects.update(num_replicas=0)
    reconcile()
    draining = ReplicaStatus(replica_id=str(replica.pk), phase=ReplicaPhase.DRAINING)
    assert record_heartbeat(replica.worker, heartbeat(sequence=1, replicas=[draining])).replicas == []
    assert Replica.objects.count() == 1
    record_heartbeat(replica.worker, heartbeat(sequence=2))
    assert Replica.objects.count() == 0


def test_how_long_a_replica_has_been_ready_is_known(replica, time_machine):
    record_heartbeat(replica.worker, heartbeat(sequence=1, replicas=[ready(replica.pk)]))
    since = Replica.objects.get().ready_at
    time_machine.move_to(now() + timedelta(seconds=3))
    record_heartbeat(replica.worker, heartbeat(sequence=2, replicas=[ready(replica.pk)]))
    assert Replica.objects.get().ready_at == since
    failed = ReplicaStatus(replica_id=str(replica.pk), phase=ReplicaPhase.FAILED)
    record_heartbeat(replica.worker, heartbeat(sequence=3, replicas=[failed]))
    assert Replica.objects.get().ready_at is None


def test_a_heartbeat_that_says_ready_lets_the_old_version_go(replica, make_worker):
    Deployment.objects.update(source="delay=1")
    Replica.objects.update(phase="ready", ready_at=now())
    reconcile()
    (successor,) = Replica.objects.exclude(pk=replica.pk)
    beat = heartbeat(sequence=1, replicas=[ready(replica.pk), ready(successor.pk)])
    assert [one.replica_id for one in record_heartbeat(successor.worker, beat).replicas] == [str(successor.pk)]


def test_a_worker_may_move_within_the_networks(make_worker):
    worker = make_worker()
    record_heartbeat(worker, heartbeat(address="http://127.0.0.2:8200"))
    worker.refresh_from_db()
    assert (worker.address, worker.pinned_ip) == ("http://127.0.0.2:8200", "127.0.0.2")


def test_a_worker_may_not_move_out_of_the_networks(make_worker):
    worker = make_worker()
    with pytest.raises(AddressRefused):
        record_heartbeat(worker, heartbeat(address="http://169.254.169.254"))
    worker.refresh_from_db()
    assert worker.address == "http://127.0.0.1:8100"


def test_a_worker_revoked_meanwhile_is_refused(make_worker):
    worker = make_worker()
    Worker.objects.filter(pk=worker.pk).revoke()
    with pytest.raises(WorkerRevoked):
        record_heartbeat(worker, heartbeat())


def test_the_first_heartbeat_brings_the_work_that_waited_for_a_worker(make_worker, make_deployment):
    worker = make_worker(last_heartbeat_at=None)
    make_deployment()
    assert len(record_heartbeat(worker, heartbeat()).replicas) == 1


def test_a_worker_that_announces_draining_hands_its_work_to_another(replica, make_worker):
    other = make_worker("box-2")
    record_heartbeat(replica.worker, heartbeat(is_draining=True))
    assert other.replicas.desired().count() == 1


def test_silence_is_seen_within_three_intervals(make_worker, time_machine):
    worker = make_worker()
    time_machine.move_to(now() + settings.SILENT_AFTER + timedelta(seconds=1))
    worker.refresh_from_db()
    assert worker.state is WorkerState.SILENT


def test_the_silent_are_marked_once(make_worker):
    make_worker(last_heartbeat_at=now() - timedelta(minutes=5))
    make_worker("box-2")
    assert [mark_lost(), mark_lost()] == [1, 0]


def test_a_worker_that_calls_again_is_lost_no_more(make_worker):
    worker = make_worker(last_heartbeat_at=now() - timedelta(minutes=5))
    mark_lost()
    record_heartbeat(worker, heartbeat())
    worker.refresh_from_db()
    assert worker.lost_at is None
