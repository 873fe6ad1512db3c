"""What the fleet is doing, on plain values: read once, compared, shown. What nobody vouches for is not shown."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext, pgettext

from fleet.acts import DeploymentAct, ReplicaAct, WorkerAct, deployment_acts, worker_acts
from fleet.adapters import failing_adapters
from fleet.badges import LOST, STOPPED, UNPLACED, Badge, phase_badge, state_badge
from fleet.capacity import Capacity, capacity, device_names
from fleet.labels import format_labels
from fleet.memory_shortage import memory_shortage
from fleet.models import Deployment, Duty, JoinToken, ProbeFailure, Replica, Rollout, Worker, WorkerState
from fleet.models.worker import SECRETS_OF_WORKER
from fleet.placement_input import placed_from, sites_from, wanted_from
from fleet.provider_overview import Offer, ProviderView, read_providers
from fleet.rollout import Plan, plan
from fleet.rollout_view import RolloutView, rollout_views
from protocol.control import ANSWERING, Download, ReplicaPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaView:
    replica_id: str
    deployment_id: int
    model: str
    worker_id: str
    worker_name: str
    slot: int
    is_outdated: bool
    """Of a version that is being replaced."""
    phase: str
    """A ReplicaPhase, or LOST."""
    progress: float
    download: Download | None
    """While its model comes from a hub."""
    error: str
    num_running: int
    num_waiting: int
    num_restarts: int
    memory_bytes: int
    shortage: str
    """Of memory: what it does about it, and what helps."""
    placed_at: datetime
    is_restarting: bool
    """An administrator has asked for another in its place."""

    @property
    def badge(self) -> Badge:
        return phase_badge(self.phase, self.progress, self.download)

    @property
    def acts(self) -> tuple[ReplicaAct, ...]:
        return (ReplicaAct.STOP,) if self.is_restarting else (ReplicaAct.RESTART, ReplicaAct.STOP)

    @property
    def reason(self) -> str:
        """Why it is as it is, where that needs saying."""
        return self.error or _reasons().get(self.phase) or self.shortage


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    worker_id: str
    name: str
    address: str
    state: WorkerState
    duty: Duty
    awaits_approval: bool
    maintenance_remark: str
    labels: str
    last_heartbeat_at: datetime | None
    probe_failure: str
    is_shared: bool
    """Two daemons use its credential."""
    disk_free_bytes: int | None
    """Where its models lie; None before its first heartbeat."""
    join_token_id: int | None
    devices: str
    capacity: Capacity
    software_version: str
    replicas: tuple[ReplicaView, ...]

    @property
    def is_cordoned(self) -> bool:
        return self.duty is not Duty.IN_SERVICE

    @property
    def is_emptied(self) -> bool:
        """An administrator has asked for everything to be moved off."""
        return self.duty in (Duty.EMPTIED, Duty.MAINTENANCE)

    @property
    def acts(self) -> tuple[WorkerAct, ...]:
        is_revoked = self.state is WorkerState.REVOKED
        return worker_acts(self.duty, is_revoked=is_revoked, awaits_approval=self.awaits_approval)

    @property
    def badge(self) -> Badge:
        if self.maintenance_remark and self.state is not WorkerState.REVOKED:
            return Badge(text=pgettext("worker", "maintenance"), tone="warning")
        decided = self._decided() if self.state is WorkerState.ALIVE else ""
        return Badge(text=decided, tone="warning") if decided else state_badge(self.state)

    def _decided(self) -> str:
        """What an administrator decided about it, in a word; empty: nothing."""
        if self.is_emptied:
            return pgettext("worker", "draining") if self.replicas else pgettext("worker", "drained")
        return pgettext("worker", "cordoned") if self.is_cordoned else ""

    @property
    def cause(self) -> str:
        """Why it is in its state, where that needs saying."""
        if self.maintenance_remark:
            return gettext("Under maintenance: %(remark)s") % {"remark": self.maintenance_remark}
        if self.is_shared:
            return gettext("A second daemon uses its credential.")
        if self.state is WorkerState.UNREACHABLE:
            return str(ProbeFailure(self.probe_failure).label)
        return _causes().get(self.state, "")

    @property
    def num_ready(self) -> int:
        return sum(replica.phase in ANSWERING for replica in self.replicas)

    @property
    def num_running(self) -> int:
        return sum(replica.num_running for replica in self.replicas)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    deployment_id: int
    model: str
    engine: str
    source: str
    num_wanted: int
    pinned_workers: tuple[str, ...]
    """Names of the workers it must run on; empty when the fleet chooses."""
    labels: str
    """That a worker must have."""
    is_stopped: bool
    replicas: tuple[ReplicaView, ...]
    refusals: tuple[tuple[str, str], ...] = ()
    """(worker, reason) of each worker that could not take the replica that has no place."""
    rollouts: tuple[RolloutView, ...] = ()
    """The last few, newest first."""

    @property
    def num_ready(self) -> int:
        """Those beyond what is wanted, while old and new ones answer, do not count."""
        return min(self.num_wanted, sum(replica.phase in ANSWERING for replica in self.replicas))

    @property
    def num_unplaced(self) -> int:
        """Wanted replicas that have no worker."""
        return max(0, self.num_wanted - len({replica.slot for replica in self.replicas}))

    @property
    def num_renewed(self) -> int:
        """Ready ones of the version that is wanted now."""
        is_new = (replica.phase in ANSWERING and not replica.is_outdated for replica in self.replicas)
        return min(self.num_wanted, sum(is_new))

    @property
    def acts(self) -> tuple[DeploymentAct, ...]:
        last = self.rollouts[0] if self.rollouts else None
        return deployment_acts(
            is_stopped=self.is_stopped,
            last_phase=last.phase if last else "",
            has_version_before=last is not None and bool(last.changes),
        )

    @property
    def observed(self) -> tuple[tuple[Badge, int], ...]:
        """How many of its replicas are in each phase; those without a place last."""
        counts = Counter(replica.phase for replica in self.replicas) + Counter({UNPLACED: self.num_unplaced})
        return tuple((phase_badge(phase), count) for phase, count in counts.items())

    @property
    def rollout(self) -> RolloutView | None:
        """The one by which its replicas are being replaced."""
        return next((rollout for rollout in self.rollouts if rollout.is_replacing), None)

    @property
    def phase(self) -> str:
        """The deployment in one word: what its least advanced part is doing, unless enough replicas are ready; then
        whether any is awake."""
        phases = [replica.phase for replica in self.replicas]
        if not self.num_wanted:
            return ReplicaPhase.DRAINING if phases else STOPPED
        if self.num_ready >= self.num_wanted:
            awake_first = (ReplicaPhase.READY, ReplicaPhase.WAKING, ReplicaPhase.ASLEEP)
            return next(phase for phase in awake_first if phase in phases)
        order = (ReplicaPhase.FAILED, LOST, ReplicaPhase.LOADING, ReplicaPhase.PENDING, ReplicaPhase.DRAINING)
        return next((phase for phase in order if phase in phases), UNPLACED)

    @property
    def next_ready(self) -> ReplicaView | None:
        """The loading replica that is furthest: one that still downloads is behind all others."""
        loading = (replica for replica in self.replicas if replica.phase == ReplicaPhase.LOADING)
        return max(loading, key=lambda replica: (replica.download is None, replica.progress), default=None)

    @property
    def badge(self) -> Badge:
        furthest = self.next_ready
        return phase_badge(self.phase, furthest.progress, furthest.download) if furthest else phase_badge(self.phase, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The fleet at one moment."""

    workers: tuple[WorkerView, ...]
    """Revoked ones included."""
    deployments: tuple[DeploymentView, ...]
    replicas: tuple[ReplicaView, ...]
    providers: tuple[ProviderView, ...]
    usable_join_tokens: tuple[int, ...]
    """Those that still let a machine in."""

    @property
    def members(self) -> tuple[WorkerView, ...]:
        return tuple(worker for worker in self.workers if worker.state is not WorkerState.REVOKED)

    @property
    def offers(self) -> tuple[Offer, ...]:
        """Models that providers answer for."""
        return tuple(offer for provider in self.providers for offer in provider.offers)

    @property
    def known_join_tokens(self) -> set[int]:
        """Usable ones, and those that some worker came in by."""
        used = {worker.join_token_id for worker in self.workers if worker.join_token_id is not None}
        return used.union(self.usable_join_tokens)

    @property
    def num_alive(self) -> int:
        return sum(worker.state is WorkerState.ALIVE for worker in self.workers)

    @property
    def num_ready(self) -> int:
        return sum(min(deployment.num_ready, deployment.num_wanted) for deployment in self.deployments)

    @property
    def num_wanted(self) -> int:
        return sum(deployment.num_wanted for deployment in self.deployments)


def read_overview() -> Overview:
    """Six queries, whatever the size of the fleet; no secret is read."""
    desired = Replica.objects.desired().select_related("worker", "deployment__model").defer(*SECRETS_OF_WORKER)
    rows = list(desired)
    replicas = tuple(replica_view(replica) for replica in rows)
    by_worker, by_deployment = defaultdict(list), defaultdict(list)
    for replica in replicas:
        by_worker[replica.worker_id].append(replica)
        by_deployment[replica.deployment_id].append(replica)
    deployments = list(Deployment.objects.select_related("model").prefetch_related("pins"))
    workers = list(Worker.objects.without_secrets())
    rollouts = list(Rollout.objects.recent().select_related("started_by"))
    running = {rollout.deployment_id: rollout for rollout in rollouts if rollout.is_running}
    history = rollout_views(rollouts)
    todo = plan(wanted_from(deployments, rows, running), sites_from(workers, rows), placed_from(rows))
    refusals = _refusals(todo)
    names = {worker.pk: worker.name for worker in workers}
    return Overview(
        workers=tuple(worker_view(worker, by_worker[str(worker.pk)]) for worker in workers),
        deployments=tuple(
            deployment_view(
                deployment,
                by_deployment[deployment.pk],
                pinned_workers=[names[pin.worker_id] for pin in deployment.pins.all() if pin.worker_id in names],
                refusals=refusals.get(deployment.pk, ()),
                rollouts=history.get(deployment.pk, ()),
            )
            for deployment in deployments
        ),
        replicas=replicas,
        providers=read_providers(),
        usable_join_tokens=tuple(JoinToken.objects.usable().values_list("pk", flat=True)),
    )


def _refusals(todo: Plan) -> Mapping[int, Sequence[tuple[str, str]]]:
    """By deployment that has a replica without a place: each worker's name, and why it is not there."""
    return {
        unplaced.deployment.deployment_id: [(name, refusal.text) for name, refusal in unplaced.refusals]
        for unplaced in todo.unplaced
    }


def _causes() -> dict[str, str]:
    return {
        WorkerState.PENDING: gettext("It runs nothing until somebody approves it."),
        WorkerState.SILENT: gettext("No heartbeat comes: see whether the machine is up and its daemon runs."),
        WorkerState.DRAINING: gettext("Its daemon was told to stop, and finishes the last answers."),
    }


def _reasons() -> dict[str, str]:
    return {
        ReplicaPhase.PENDING: gettext("Its worker has not begun to load it."),
        ReplicaPhase.ASLEEP: gettext(
            "Nobody has asked it for a while, so it was unloaded, as its deployment says. The next request wakes it."
        ),
        ReplicaPhase.WAKING: gettext("A request came while it was unloaded: it is being loaded again."),
        ReplicaPhase.DRAINING: gettext("It finishes its last answers."),
        LOST: gettext("Its worker is silent."),
    }


def replica_view(replica: Replica) -> ReplicaView:
    is_vouched_for = replica.worker.state not in (WorkerState.SILENT, WorkerState.REVOKED)
    return ReplicaView(
        replica_id=str(replica.pk),
        deployment_id=replica.deployment_id,
        model=replica.deployment.model.name,
        worker_id=str(replica.worker_id),
        worker_name=replica.worker.name,
        slot=replica.slot,
        is_outdated=replica.spec != replica.deployment.spec,
        phase=replica.phase if is_vouched_for else LOST,
        progress=replica.progress,
        download=_download_of(replica),
        error=replica.error or failing_adapters(replica.adapters),
        num_running=replica.num_running if is_vouched_for else 0,
        num_waiting=replica.num_waiting if is_vouched_for else 0,
        num_restarts=replica.num_restarts,
        memory_bytes=replica.memory_bytes if is_vouched_for else 0,
        shortage=memory_shortage(replica.num_out_of_memory, replica.max_step_tokens),
        placed_at=replica.created_at,
        is_restarting=replica.restart_requested_at is not None,
    )


def _download_of(replica: Replica) -> Download | None:
    if not replica.download_bytes:
        return None
    return Download(num_bytes=replica.downloaded_bytes, total_bytes=replica.download_bytes)


def worker_view(worker: Worker, replicas: Iterable[ReplicaView]) -> WorkerView:
    return WorkerView(
        worker_id=str(worker.pk),
        name=worker.name,
        address=worker.address,
        state=worker.state,
        duty=worker.duty,
        awaits_approval=worker.awaits_approval,
        maintenance_remark=worker.maintenance_remark,
        labels=format_labels(worker.labels),
        last_heartbeat_at=worker.last_heartbeat_at,
        probe_failure=worker.probe_failure,
        is_shared=worker.is_shared,
        disk_free_bytes=worker.hardware.get("disk_free_bytes"),
        join_token_id=worker.join_token_id,
        devices=device_names(worker.hardware),
        capacity=capacity(worker.hardware if worker.state is not WorkerState.SILENT else {}),
        software_version=worker.software_version,
        replicas=tuple(replicas),
    )


def deployment_view(
    deployment: Deployment,
    replicas: Iterable[ReplicaView],
    *,
    pinned_workers: Iterable[str] = (),
    refusals: Iterable[tuple[str, str]] = (),
    rollouts: Iterable[RolloutView] = (),
) -> DeploymentView:
    return DeploymentView(
        deployment_id=deployment.pk,
        model=deployment.model.name,
        engine=deployment.engine,
        source=deployment.source,
        num_wanted=deployment.num_wanted,
        pinned_workers=tuple(pinned_workers),
        labels=format_labels(deployment.selector),
        is_stopped=deployment.is_stopped,
        replicas=tuple(sorted(replicas, key=lambda replica: replica.slot)),
        refusals=tuple(refusals),
        rollouts=tuple(rollouts),
    )
