"""What a worker tells every few seconds, recorded; and the answer: what it should run."""

import logging
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.timezone import now

from fleet.addresses import pin_for
from fleet.enrolment import THIS_MACHINE
from fleet.errors import CredentialShared, HeartbeatReplayed, WorkerRevoked
from fleet.models import Cause, Replica, Rollout, Transition, Worker, WorkerState
from fleet.reconciler import reconcile
from fleet.samples import take_sample
from protocol.codec import to_builtins
from protocol.control import ANSWERING, DesiredReplica, DesiredState, Heartbeat, ReplicaPhase, ReplicaStatus

logger = logging.getLogger(__name__)

_BOOTS_KEPT = 50
_OBSERVED = (
    "phase",
    "progress",
    "downloaded_bytes",
    "download_bytes",
    "error",
    "num_running",
    "num_waiting",
    "num_restarts",
    "memory_bytes",
    "num_out_of_memory",
    "max_step_tokens",
    "num_answers",
    "num_errors",
    "ready_at",
    "context_length",
    "capabilities",
    "adapters",
    "observed_at",
)


def record_heartbeat(worker: Worker, beat: Heartbeat, *, peer: str = THIS_MACHINE) -> DesiredState:
    """Store the observed state; what the worker should run. `worker` is the row as it was; it is brought up to date.
    `peer`: the IP address that the beat came from.

    Raises HeartbeatReplayed for a beat that is not newer than the last one, CredentialShared for one of a daemon that
    was started before the last one, AddressRefused, WorkerRevoked.
    """
    if beat.boot_id in worker.past_boots:
        raise _shared(worker)
    before, last_boot_id, last_beat_at = worker.state, worker.boot_id, worker.last_heartbeat_at
    with transaction.atomic():
        _record_worker(worker, beat, peer)
        _note_change(worker, before, last_boot_id)
        has_moved = _record_replicas(worker, beat)
        take_sample(worker, beat, last_beat_at)
    if worker.state is not before or has_moved or Rollout.objects.running().exists():
        # It can take replicas now, or wants to be rid of them; or another may take over: a task would be late.
        reconcile()
    return desired_state(worker)


def desired_state(worker: Worker) -> DesiredState:
    """All that this worker should run."""
    replicas = worker.replicas.desired().select_related("deployment__model")
    return DesiredState(
        replicas=[
            DesiredReplica(
                replica_id=str(replica.pk),
                model=replica.deployment.model.name,
                adapters=replica.deployment.adapters,
                idle_unload_s=replica.deployment.idle_unload_s,
                **replica.spec,
            )
            for replica in replicas
        ],
        heartbeat_interval_s=settings.HEARTBEAT_INTERVAL.total_seconds(),
        next_credential=worker.next_credential or "",
        awaits_approval=worker.awaits_approval,
    )


def mark_lost() -> int:
    """Start the clock for workers that have fallen silent; how many did since the last time.

    They get no traffic as soon as they are silent, marked or not. The mark says since when this server, being up
    itself, has missed them: see Worker.lost_at.
    """
    return sum(_mark_one(worker) for worker in Worker.objects.fallen_silent().filter(lost_at=None))


@transaction.atomic
def _mark_one(worker: Worker) -> bool:
    if not Worker.objects.fallen_silent().filter(pk=worker.pk, lost_at=None).update(lost_at=now()):
        return False
    logger.warning("Worker %s has been silent since %s.", worker.name, worker.last_heartbeat_at)
    before = WorkerState.DRAINING if worker.is_draining else WorkerState.ALIVE
    Transition.objects.note(worker, before, WorkerState.SILENT, Cause.SILENCE)
    return True


def _record_worker(worker: Worker, beat: Heartbeat, peer: str) -> None:
    observed = {
        "boot_id": beat.boot_id,
        "sequence": beat.sequence,
        "is_draining": beat.is_draining,
        "certificate_sha256": beat.certificate_sha256,
        "hardware": to_builtins(beat.hardware),
        "software_version": beat.software_version,
        "last_heartbeat_at": now(),
        "lost_at": None,
    }
    if worker.boot_id not in ("", beat.boot_id):
        observed["past_boots"] = [*worker.past_boots, worker.boot_id][-_BOOTS_KEPT:]
    if beat.address.rstrip("/") != worker.address:
        address = pin_for(peer, beat.address, settings.WORKER_NETWORKS)
        observed |= {"address": address.url, "pinned_ip": address.ip}
    row = Worker.objects.filter(pk=worker.pk)
    # Of two first beats of two daemons one comes second, and is judged anew against the other.
    is_newer = Q(boot_id=worker.boot_id) & (~Q(boot_id=beat.boot_id) | Q(sequence__lt=beat.sequence))
    if row.filter(is_newer, revoked_at=None).update(**observed):
        vars(worker).update(observed)
        return
    if row.filter(revoked_at=None).exists():
        raise HeartbeatReplayed(f"Heartbeat {beat.sequence} of this start of the worker has been recorded before.")
    raise WorkerRevoked("The administrator has revoked this worker.")


def _shared(worker: Worker) -> CredentialShared:
    if not worker.is_shared:
        logger.warning("Two daemons use the credential of the worker %s.", worker.name)
    Worker.objects.filter(pk=worker.pk).update(shared_at=now())
    return CredentialShared(
        f"Another daemon has taken over as “{worker.name}” with the same credential. Stop one of the two; this one "
        "needs a restart to be heard again, or a --state-dir of its own and a join token."
    )


def _note_change(worker: Worker, before: WorkerState, last_boot_id: str) -> None:
    """What this beat has changed, for the timeline."""
    if last_boot_id not in ("", worker.boot_id):
        Transition.objects.note(worker, before, worker.state, Cause.DAEMON_STARTED)
    elif worker.state is not before:
        cause = Cause.DAEMON_STOPS if worker.is_draining else Cause.HEARTBEAT
        Transition.objects.note(worker, before, worker.state, cause)


def _record_replicas(worker: Worker, beat: Heartbeat) -> bool:
    """Whether one has changed its phase or is gone. Only this worker's own rows are touched, whatever it reports; what
    it does not know as desired it unloads."""
    reported = {status.replica_id: status for status in beat.replicas}
    # In the reconciler's order, or the two could wait for each other.
    models = worker.replicas.select_related("deployment__model")
    rows = list(models.select_for_update(of=("self",)).order_by("pk"))
    unloaded = [row for row in rows if row.retired_at and str(row.pk) not in reported]
    kept = [row for row in rows if row not in unloaded]
    transitions = [Transition.of_replica(row, Transition.UNLOADED, Cause.REPORTED) for row in unloaded]
    Replica.objects.filter(pk__in=[row.pk for row in unloaded]).delete()
    at = now()
    for row in kept:
        status = reported.get(str(row.pk))
        transitions += _changes(row, status)
        _observe(row, status or ReplicaStatus(replica_id=str(row.pk), phase=ReplicaPhase.PENDING), at)
    Replica.objects.bulk_update(kept, _OBSERVED)
    Transition.objects.bulk_create(transitions)
    return bool(transitions)


def _changes(row: Replica, status: ReplicaStatus | None) -> list[Transition]:
    """For the timeline: the phase that this row is about to enter, if it is another. None: it was not reported."""
    phase = status.phase if status else ReplicaPhase.PENDING
    if phase == row.phase:
        return []
    cause = Cause.REPORTED if status else Cause.NOT_REPORTED
    return [Transition.of_replica(row, phase, cause, detail=status.error if status else "")]


def _observe(row: Replica, status: ReplicaStatus, at: datetime) -> None:
    row.ready_at = (row.ready_at or at) if status.phase in ANSWERING else None
    row.num_answers, row.num_errors = status.num_answers, status.num_errors
    row.phase = status.phase
    row.progress = status.progress
    row.downloaded_bytes = status.download.num_bytes if status.download else 0
    row.download_bytes = status.download.total_bytes if status.download else 0
    row.error = status.error
    row.num_running, row.num_waiting = status.num_running, status.num_waiting
    row.num_restarts, row.memory_bytes = status.num_restarts, status.memory_bytes
    row.num_out_of_memory, row.max_step_tokens = status.num_out_of_memory, status.max_step_tokens
    row.context_length = status.info.context_length if status.info else None
    row.capabilities = list(status.info.capabilities) if status.info else []
    row.adapters = status.adapters
    row.observed_at = at
