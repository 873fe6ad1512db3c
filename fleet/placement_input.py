"""Rows of the database as the placement rule sees them: plain values."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from django.conf import settings
from django.utils.timezone import now
from django.utils.translation import gettext

from fleet.memory import DeviceMemory, devices_for, need
from fleet.models import Deployment, Replica, Rollout, Strategy, Worker, WorkerState
from fleet.models.worker import SECRETS_OF_WORKER
from fleet.placement import Placed, Prospects, Refusal, Site, Wanted, Why
from protocol.control import ReplicaPhase

_LOADED = (ReplicaPhase.READY, ReplicaPhase.DRAINING, ReplicaPhase.ASLEEP)
"""What they hold is gone from the free memory already. One that sleeps holds none, and must find room to wake."""


def read_prospects() -> tuple[Prospects, dict[int, Wanted]]:
    """Where replicas could go at this moment, and what is wanted by deployment. Four queries."""
    replicas = list(Replica.objects.desired().select_related("worker", "deployment").defer(*SECRETS_OF_WORKER))
    deployments = Deployment.objects.prefetch_related("pins")
    wanted = {one.deployment_id: one for one in wanted_from(deployments, replicas, rollouts={})}
    sites = sites_from(Worker.objects.without_secrets(), replicas)
    return Prospects(sites, wanted, placed_from(replicas)), wanted


def wanted_from(
    deployments: Iterable[Deployment], replicas: Iterable[Replica], rollouts: Mapping[int, Rollout]
) -> list[Wanted]:
    """`deployments` with their pins fetched; `replicas` with their workers, to see what they use; `rollouts` that are
    running, by deployment."""
    measured = _measured_bytes(replicas)
    return [
        Wanted(
            deployment_id=deployment.pk,
            num_replicas=deployment.num_wanted,
            spec=deployment.spec,
            pinned_to=frozenset(str(pin.worker_id) for pin in deployment.pins.all()),
            selector=deployment.selector,
            is_swapping=deployment.strategy == Strategy.SWAP,
            proving_s=_proving_s(rollouts.get(deployment.pk)),
            need=need(deployment.memory_gb, measured[deployment.pk], deployment.spec),
        )
        for deployment in sorted(deployments, key=lambda deployment: deployment.pk)
    ]


def sites_from(workers: Iterable[Worker], replicas: Iterable[Replica]) -> list[Site]:
    """`replicas` with their deployments: how busy the workers are."""
    by_worker: defaultdict[object, list[Replica]] = defaultdict(list)
    for replica in replicas:
        by_worker[replica.worker_id].append(replica)
    return [_site(worker, by_worker[worker.pk]) for worker in workers]


def placed_from(replicas: Iterable[Replica]) -> list[Placed]:
    """The oldest first."""
    return [
        Placed(
            replica_id=str(replica.pk),
            deployment_id=replica.deployment_id,
            slot=replica.slot,
            worker_id=str(replica.worker_id),
            spec=replica.spec,
            is_loaded=replica.phase in _LOADED,
            memory_bytes=replica.memory_bytes,
            must_restart=replica.restart_requested_at is not None,
            is_retired=replica.retired_at is not None,
            phase=ReplicaPhase(replica.phase),
            ready_for_s=(now() - replica.ready_at).total_seconds() if replica.ready_at else 0.0,
            num_failures=replica.num_restarts + (replica.phase == ReplicaPhase.FAILED),
            error=replica.error,
            num_answers=replica.num_answers,
            num_errors=replica.num_errors,
        )
        for replica in sorted(replicas, key=lambda replica: replica.created_at)
    ]


def _proving_s(rollout: Rollout | None) -> float:
    """Only a version that there is a way back from has to prove itself."""
    if rollout is None or rollout.previous_spec is None:
        return 0.0
    return settings.ROLLOUT_PROVING.total_seconds()


def _site(worker: Worker, replicas: Sequence[Replica]) -> Site:
    is_lost_for_long = worker.lost_at is not None and now() - worker.lost_at > settings.MOVE_AFTER
    return Site(
        worker_id=str(worker.pk),
        name=worker.name,
        refusal=state_refusal(worker),
        is_leaving=worker.is_draining or is_lost_for_long,
        is_up=worker.state is WorkerState.ALIVE,
        must_empty=worker.drain_requested_at is not None,
        labels=worker.labels,
        engines=frozenset(worker.hardware.get("engines", ())),
        devices=device_memories(worker),
        load=_load(replicas),
    )


def state_refusal(worker: Worker) -> Refusal | None:
    """Why this worker may be given nothing at all; None if it may."""
    if worker.revoked_at:
        return Refusal(Why.REVOKED, str(Why.REVOKED.label))
    if worker.maintenance_remark:
        text = gettext("under maintenance: %(remark)s") % {"remark": worker.maintenance_remark}
        return Refusal(Why.MAINTENANCE, text)
    if worker.state is WorkerState.SILENT:
        return Refusal(Why.SILENT, _silence(worker))
    if worker.state is WorkerState.PENDING:
        return Refusal(Why.PENDING, str(Why.PENDING.label))
    if worker.state is WorkerState.UNREACHABLE:
        return Refusal(Why.UNREACHABLE, str(Why.UNREACHABLE.label))
    if worker.state is WorkerState.DRAINING or worker.drain_requested_at:
        return Refusal(Why.DRAINING, str(Why.DRAINING.label))
    return Refusal(Why.CORDONED, str(Why.CORDONED.label)) if worker.cordoned else None


def device_memories(worker: Worker) -> tuple[DeviceMemory, ...]:
    """What its last heartbeat told; empty before the first."""
    return tuple(
        DeviceMemory(
            kind=str(device.get("kind", "")),
            total_bytes=int(device.get("memory_total_bytes", 0)),
            free_bytes=int(device.get("memory_free_bytes", 0)),
        )
        for device in worker.hardware.get("devices", [])
    )


def _silence(worker: Worker) -> str:
    age = worker.heartbeat_age
    if age is None:
        return gettext("has never been heard")
    seconds = round(age.total_seconds())
    if seconds < 120:
        return gettext("silent for %(seconds)d s") % {"seconds": seconds}
    return gettext("silent for %(minutes)d min") % {"minutes": seconds // 60}


def _load(replicas: Iterable[Replica]) -> float:
    replicas = list(replicas)
    capacity = sum(replica.deployment.max_concurrency for replica in replicas)
    return sum(replica.num_running + replica.num_waiting for replica in replicas) / capacity if capacity else 0.0


def _measured_bytes(replicas: Iterable[Replica]) -> Mapping[int, int]:
    """By deployment, the most that one of its ready replicas holds. Only on CPUs: what an engine's process holds says
    nothing of an accelerator's memory."""
    most: defaultdict[int, int] = defaultdict(int)
    for replica in replicas:
        is_current = replica.phase == ReplicaPhase.READY and replica.spec == replica.deployment.spec
        if is_current and _runs_on_cpu(replica):
            most[replica.deployment_id] = max(most[replica.deployment_id], replica.memory_bytes)
    return most


def _runs_on_cpu(replica: Replica) -> bool:
    devices = device_memories(replica.worker)
    return all(devices[index].kind == "cpu" for index in devices_for(str(replica.spec.get("device", "auto")), devices))
