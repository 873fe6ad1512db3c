"""Rule: what is to be placed × where it may run × what runs there already → where, or why not.

Which slots are to be filled is fleet.rollout's to say. A new replica goes where every filter lets it, and of those
workers to the one with the best score: fewest of its deployment, then the least crowded.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext, npgettext
from django.utils.translation import gettext_lazy as _

from fleet.labels import format_labels, lacking
from fleet.memory import GIB, DeviceMemory, Grounds, Need, Room, devices_for
from protocol.control import ReplicaPhase


class Why(TextChoices):
    """The filters: what keeps a replica from a worker."""

    REVOKED = "revoked", _("revoked")
    SILENT = "silent", _("silent")
    PENDING = "pending", _("waits for approval")
    UNREACHABLE = "unreachable", _("cannot be reached at its address")
    DRAINING = "draining", _("draining")
    MAINTENANCE = "maintenance", _("under maintenance")
    CORDONED = "cordoned", _("cordoned")
    PINNED_ELSEWHERE = "pinned_elsewhere", _("the deployment is pinned to other workers")
    ENGINE = "engine", _("engine")
    LABELS = "labels", _("labels")
    DEVICE = "device", _("device")
    MEMORY = "memory", _("memory")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one worker was not given a replica: which filter, and in words, with figures."""

    why: Why
    text: str


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
    is_swapping: bool = False
    """A replica goes before its successor comes, always."""
    proving_s: float = 0.0
    """How long a replica must have been ready before it counts; above 0 while a new version is rolled out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A worker."""

    worker_id: str
    name: str
    refusal: Refusal | None = None
    """Its state, where that keeps any replica away."""
    is_leaving: bool = False
    """Draining, or silent for so long that what runs there is better run elsewhere."""
    is_up: bool = True
    """What runs there gets requests."""
    must_empty: bool = False
    """An administrator wants nothing to be left on it, even what nobody else can take."""
    labels: Mapping[str, str] = field(default_factory=dict)
    engines: Collection[str] = ()
    """What it can run; empty: it does not tell."""
    devices: Sequence[DeviceMemory] = ()
    load: float = 0.0
    """Requests running and waiting there, as a share of what its replicas take at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A replica. `is_retired`: it goes, but is not unloaded yet."""

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
    is_retired: bool = False
    phase: ReplicaPhase = ReplicaPhase.PENDING
    ready_for_s: float = 0.0
    num_failures: int = 0
    """How often its engine broke down."""
    error: str = ""
    num_answers: int = 0
    num_errors: int = 0
    """Of the answers, those that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacancy:
    """A slot that is to get a replica, beside the one it `replaces` if there is one."""

    deployment: Wanted
    slot: int
    replaces: Placed | None = None


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


class Prospects:
    """The workers with the room they have left, while a plan gives replicas to them."""

    def __init__(self, sites: Sequence[Site], deployments: Mapping[int, Wanted], placed: Iterable[Placed]) -> None:
        self.sites = sites
        self._by_worker = {site.worker_id: site for site in sites}
        self._rooms = {site.worker_id: Room(site.devices) for site in sites}
        for replica in placed:
            if not replica.is_loaded:
                self.take(deployments[replica.deployment_id], replica.worker_id, already=replica.memory_bytes)

    def site(self, worker_id: str) -> Site:
        return self._by_worker[worker_id]

    def refusal(self, deployment: Wanted, site: Site) -> Refusal | None:
        """Why this worker may not take a replica of this deployment now; None if it may."""
        if deployment.pinned_to and site.worker_id not in deployment.pinned_to:
            return Refusal(Why.PINNED_ELSEWHERE, str(Why.PINNED_ELSEWHERE.label))
        lacks = _lacks_engine(deployment, site) or _lacks_labels(deployment, site)
        return site.refusal or lacks or self._lacks_memory(deployment, site)

    def would_fit_instead(self, deployment: Wanted, worker_id: str) -> bool:
        """Whether only memory keeps it from this worker, and so little that unloading another replica may help."""
        site = self._by_worker[worker_id]
        refusal = self.refusal(deployment, site)
        is_short = refusal is not None and refusal.why is Why.MEMORY
        return (
            is_short
            and deployment.need is not None
            and deployment.need.num_bytes <= self._rooms[worker_id].total(deployment.spec)
        )

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


def fill(
    vacancies: Iterable[Vacancy], prospects: Prospects, staying: Iterable[Placed]
) -> tuple[list[Placement], list[Unplaced]]:
    """A worker for each vacancy, or why there is none. `staying`: what runs and is to go on running."""
    place: list[Placement] = []
    unplaced: list[Unplaced] = []
    crowd = {replica.replica_id: (replica.deployment_id, replica.worker_id) for replica in staying}
    for vacancy in vacancies:
        # Who is replaced will be gone, so that its worker is no more crowded than without it.
        others = [key for replica_id, key in crowd.items() if not _is_replaced(replica_id, vacancy)]
        if worker_id := _choose(vacancy.deployment, prospects, others):
            crowd[f"{vacancy.deployment.deployment_id}/{vacancy.slot}"] = (vacancy.deployment.deployment_id, worker_id)
            prospects.take(vacancy.deployment, worker_id)
            place.append(Placement(deployment=vacancy.deployment, slot=vacancy.slot, worker_id=worker_id))
        else:
            refusals = _refusals(vacancy.deployment, prospects)
            unplaced.append(Unplaced(deployment=vacancy.deployment, slot=vacancy.slot, refusals=refusals))
    return place, unplaced


def _is_replaced(replica_id: str, vacancy: Vacancy) -> bool:
    return vacancy.replaces is not None and vacancy.replaces.replica_id == replica_id


def _lacks_engine(deployment: Wanted, site: Site) -> Refusal | None:
    engine = deployment.spec.get("engine")
    if not site.engines or engine in site.engines:
        return None
    if engine == "command":
        return Refusal(Why.ENGINE, gettext("runs no commands: its operator can allow them with --allow-code yes"))
    return Refusal(Why.ENGINE, gettext("has no %(engine)s: install it there") % {"engine": engine})


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


def _choose(deployment: Wanted, prospects: Prospects, taken: Sequence[tuple[int, str]]) -> str | None:
    """The worker with the best score of those that may take one more; of equals, always the same."""
    of_all = Counter(worker_id for _owner, worker_id in taken)
    of_this = Counter(worker_id for owner, worker_id in taken if owner == deployment.deployment_id)

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
