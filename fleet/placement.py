"""Rule: what should run × where it may run × what is placed already → what to retire, what to place, and why not.

Replicas stay where they are while they can. A new one goes where every filter lets it, and of those workers to the one
with the best score: fewest of its deployment, then the least crowded.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext, npgettext
from django.utils.translation import gettext_lazy as _

from fleet.labels import format_labels, lacking
from fleet.memory import GIB, DeviceMemory, Grounds, Need, Room, devices_for


class Why(TextChoices):
    """The filters: what keeps a replica from a worker."""

    REVOKED = "revoked", _("revoked")
    SILENT = "silent", _("silent")
    UNREACHABLE = "unreachable", _("cannot be reached at its address")
    DRAINING = "draining", _("draining")
    MAINTENANCE = "maintenance", _("under maintenance")
    CORDONED = "cordoned", _("cordoned")
    PINNED_ELSEWHERE = "pinned_elsewhere", _("the deployment is pinned to other workers")
    LABELS = "labels", _("labels")
    DEVICE = "device", _("device")
    MEMORY = "memory", _("memory")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one worker was not given a replica: which filter, and in words, with figures."""

    why: Why
    text: str


class Reason(TextChoices):
    """Why a replica must go."""

    NOT_WANTED = "not_wanted", _("the deployment wants fewer replicas")
    CHANGED = "changed", _("the deployment was changed")
    PINNED_ELSEWHERE = "pinned_elsewhere", _("the deployment is pinned to another worker")
    WORKER_REVOKED = "worker_revoked", _("the worker is revoked")
    WORKER_LEAVING = "worker_leaving", _("the worker is draining or lost, and another can take over")
    WORKER_DRAINED = "worker_drained", _("the worker is being emptied, and no other can take over")
    RESTART = "restart", _("an administrator asked for a restart")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A deployment. `spec` is what its engine processes are started with."""

    deployment_id: int
    num_replicas: int
    spec: Mapping[str, Any]
    pinned_to: frozenset[str] = frozenset()
    """Workers; empty: any."""
    selector: Mapping[str, str] = field(default_factory=dict)
    need: Need | None = None
    """Memory for one replica; None: nobody knows, so memory does not decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A worker."""

    worker_id: str
    name: str
    refusal: Refusal | None = None
    """Its state, where that keeps any replica away."""
    is_leaving: bool = False
    """Draining, or silent for so long that what runs there is better run elsewhere."""
    must_empty: bool = False
    """An administrator wants nothing to be left on it, even what nobody else can take."""
    labels: Mapping[str, str] = field(default_factory=dict)
    devices: Sequence[DeviceMemory] = ()
    load: float = 0.0
    """Requests running and waiting there, as a share of what its replicas take at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A replica that is not retired."""

    replica_id: str
    deployment_id: int
    slot: int
    worker_id: str
    spec: Mapping[str, Any]
    is_loaded: bool = False
    """What it needs is gone from its worker's free memory already."""
    memory_bytes: int = 0
    """What it was seen to hold while it loads."""
    must_restart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    replica: Placed
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    deployment: Wanted
    slot: int
    worker_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A slot that no worker can take: (worker's name, why) of each that might. No workers at all: empty."""

    deployment: Wanted
    slot: int
    refusals: Sequence[tuple[str, Refusal]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    retire: Sequence[Retirement]
    place: Sequence[Placement]
    unplaced: Sequence[Unplaced]


class Prospects:
    """The workers with the room they have left, while a plan gives replicas to them."""

    def __init__(self, sites: Sequence[Site], deployments: Mapping[int, Wanted], placed: Iterable[Placed]) -> None:
        self.sites = sites
        self._rooms = {site.worker_id: Room(site.devices) for site in sites}
        for replica in placed:
            if not replica.is_loaded:
                self.take(deployments[replica.deployment_id], replica.worker_id, already=replica.memory_bytes)

    def refusal(self, deployment: Wanted, site: Site) -> Refusal | None:
        """Why this worker may not take a replica of this deployment now; None if it may."""
        if deployment.pinned_to and site.worker_id not in deployment.pinned_to:
            return Refusal(Why.PINNED_ELSEWHERE, str(Why.PINNED_ELSEWHERE.label))
        return site.refusal or _lacks_labels(deployment, site) or self._lacks_memory(deployment, site)

    def take(self, deployment: Wanted, worker_id: str, *, already: int = 0) -> None:
        """Count what a replica needs as taken, less what it holds already."""
        if deployment.need:
            self._rooms[worker_id].take(deployment.spec, max(0, deployment.need.num_bytes - already))

    def crowd(self, deployment: Wanted, site: Site, num_replicas: int) -> float:
        """Replicas for each device, plus how full its memory and how busy it is: each counts as one replica more."""
        num_devices = len(devices_for(str(deployment.spec.get("device", "auto")), site.devices)) or 1
        share = self._rooms[site.worker_id].taken_share(deployment.spec)
        return num_replicas / num_devices + share + min(1.0, site.load)

    def _lacks_memory(self, deployment: Wanted, site: Site) -> Refusal | None:
        device = str(deployment.spec.get("device", "auto"))
        if device not in ("auto", "cpu") and not devices_for(device, site.devices):
            return Refusal(Why.DEVICE, gettext("has no device %(device)s") % {"device": device})
        free = self._rooms[site.worker_id].free(deployment.spec)
        if deployment.need is None or deployment.need.num_bytes <= free:
            return None
        return Refusal(Why.MEMORY, _too_small(deployment.need, free, is_known=bool(site.devices)))


def plan(wanted: Iterable[Wanted], sites: Sequence[Site], placed: Sequence[Placed]) -> Plan:
    """What to do so that each deployment has its replicas. The same input always gives the same plan."""
    deployments = {deployment.deployment_id: deployment for deployment in wanted}
    prospects = Prospects(sites, deployments, placed)
    by_worker = {site.worker_id: site for site in sites}
    kept: list[Placed] = []
    retire: list[Retirement] = []
    for replica in placed:
        deployment, site = deployments[replica.deployment_id], by_worker[replica.worker_id]
        if reason := _why_retire(replica, deployment, site) or _why_move(deployment, site, prospects):
            retire.append(Retirement(replica=replica, reason=reason))
        else:
            kept.append(replica)
    place, unplaced = _fill(deployments.values(), prospects, kept)
    return Plan(retire=retire, place=place, unplaced=unplaced)


def _lacks_labels(deployment: Wanted, site: Site) -> Refusal | None:
    missing = lacking(deployment.selector, site.labels)
    if not missing:
        return None
    text = npgettext("worker", "lacks the label %(labels)s", "lacks the labels %(labels)s", len(missing))
    return Refusal(Why.LABELS, text % {"labels": format_labels(missing)})


def _too_small(need: Need, free: int, *, is_known: bool) -> str:
    figures = {"need": f"{need.num_bytes / GIB:.1f}", "free": f"{free / GIB:.1f}", "grounds": need.grounds.label}
    if not is_known:
        return gettext("needs %(need)s GB, its memory is not known") % figures
    if need.grounds is Grounds.GIVEN:
        return gettext("needs %(need)s GB, %(free)s GB free") % figures
    return gettext("needs %(need)s GB (%(grounds)s), %(free)s GB free") % figures


def _why_retire(replica: Placed, deployment: Wanted, site: Site) -> Reason | None:
    if replica.slot >= deployment.num_replicas:
        return Reason.NOT_WANTED
    if replica.spec != deployment.spec:
        return Reason.CHANGED
    if deployment.pinned_to and site.worker_id not in deployment.pinned_to:
        return Reason.PINNED_ELSEWHERE
    if replica.must_restart:
        return Reason.RESTART
    return Reason.WORKER_REVOKED if site.refusal and site.refusal.why is Why.REVOKED else None


def _why_move(deployment: Wanted, site: Site, prospects: Prospects) -> Reason | None:
    """A worker that leaves keeps what nobody else can take: it may well come back. Unless it must be emptied."""
    if not site.is_leaving and not site.must_empty:
        return None
    if any(prospects.refusal(deployment, other) is None for other in prospects.sites):
        return Reason.WORKER_LEAVING
    return Reason.WORKER_DRAINED if site.must_empty else None


def _fill(
    deployments: Iterable[Wanted], prospects: Prospects, kept: Iterable[Placed]
) -> tuple[list[Placement], list[Unplaced]]:
    place: list[Placement] = []
    unplaced: list[Unplaced] = []
    taken = {(replica.deployment_id, replica.slot): replica.worker_id for replica in kept}
    for deployment in deployments:
        for slot in range(deployment.num_replicas):
            key = (deployment.deployment_id, slot)
            if key in taken:
                continue
            if worker_id := _choose(deployment, prospects, taken):
                taken[key] = worker_id
                prospects.take(deployment, worker_id)
                place.append(Placement(deployment=deployment, slot=slot, worker_id=worker_id))
            else:
                refusals = _refusals(deployment, prospects)
                unplaced.append(Unplaced(deployment=deployment, slot=slot, refusals=refusals))
    return place, unplaced


def _choose(deployment: Wanted, prospects: Prospects, taken: Mapping[tuple[int, int], str]) -> str | None:
    """The worker with the best score of those that may take one more; of equals, always the same."""
    of_all = Counter(taken.values())
    of_this = Counter(worker_id for (owner, _slot), worker_id in taken.items() if owner == deployment.deployment_id)

    def score(site: Site) -> tuple[int, float, str]:
        crowd = prospects.crowd(deployment, site, of_all[site.worker_id])
        return of_this[site.worker_id], round(crowd, 3), site.worker_id

    candidates = [site for site in prospects.sites if prospects.refusal(deployment, site) is None]
    return min(candidates, key=score).worker_id if candidates else None


def _refusals(deployment: Wanted, prospects: Prospects) -> list[tuple[str, Refusal]]:
    """Each worker's, what can be mended first. The revoked are history, unless it is pinned to them."""
    refusals = [(site.name, why) for site in prospects.sites if (why := prospects.refusal(deployment, site))]
    told = [(name, why) for name, why in refusals if why.why is not Why.REVOKED or deployment.pinned_to]
    return sorted(told, key=lambda one: (one[1].why is Why.PINNED_ELSEWHERE, one[0]))
