"""Rule: what should run × where it may run × what is placed already → what to retire, what to place, and why not.

Kept as simple as it can be: replicas stay where they are while they can; a new one goes to the worker that has the
fewest of its deployment, then the fewest of all.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Refusal(TextChoices):
    """Why a worker was not given a replica."""

    REVOKED = "revoked", _("the worker is revoked")
    SILENT = "silent", _("the worker is silent")
    UNREACHABLE = "unreachable", _("the worker cannot be reached at its address")
    DRAINING = "draining", _("the worker is draining")
    CORDONED = "cordoned", _("the worker is cordoned")
    PINNED_ELSEWHERE = "pinned_elsewhere", _("the deployment is pinned to another worker")


class Reason(TextChoices):
    """Why a replica must go."""

    NOT_WANTED = "not_wanted", _("the deployment wants fewer replicas")
    CHANGED = "changed", _("the deployment was changed")
    PINNED_ELSEWHERE = "pinned_elsewhere", _("the deployment is pinned to another worker")
    WORKER_REVOKED = "worker_revoked", _("the worker is revoked")
    WORKER_LEAVING = "worker_leaving", _("the worker is draining or lost, and another can take over")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A deployment. `spec` is what its engine processes are started with."""

    deployment_id: int
    num_replicas: int
    spec: Mapping[str, Any]
    pinned_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A worker. `is_leaving`: draining, or silent for so long that what runs there is better run elsewhere."""

    worker_id: str
    name: str
    refusal: Refusal | None = None
    is_leaving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A replica that is not retired."""

    replica_id: str
    deployment_id: int
    slot: int
    worker_id: str
    spec: Mapping[str, Any]


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
    """A slot that no worker can take: each worker's name with its reason. No workers at all: empty."""

    deployment: Wanted
    slot: int
    refusals: Mapping[str, Refusal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    retire: Sequence[Retirement]
    place: Sequence[Placement]
    unplaced: Sequence[Unplaced]


def plan(wanted: Iterable[Wanted], sites: Sequence[Site], placed: Iterable[Placed]) -> Plan:
    """What to do so that each deployment has its replicas. The same input always gives the same plan."""
    deployments = {deployment.deployment_id: deployment for deployment in wanted}
    by_worker = {site.worker_id: site for site in sites}
    kept: list[Placed] = []
    retire: list[Retirement] = []
    for replica in placed:
        deployment, site = deployments[replica.deployment_id], by_worker[replica.worker_id]
        if reason := _why_retire(replica, deployment, site) or _why_move(deployment, site, sites):
            retire.append(Retirement(replica=replica, reason=reason))
        else:
            kept.append(replica)
    place, unplaced = _fill(deployments.values(), sites, kept)
    return Plan(retire=retire, place=place, unplaced=unplaced)


def refusal(deployment: Wanted, site: Site) -> Refusal | None:
    """Why this worker may not take a replica of this deployment; None if it may."""
    if deployment.pinned_to not in (None, site.worker_id):
        return Refusal.PINNED_ELSEWHERE
    return site.refusal


def _why_retire(replica: Placed, deployment: Wanted, site: Site) -> Reason | None:
    if replica.slot >= deployment.num_replicas:
        return Reason.NOT_WANTED
    if replica.spec != deployment.spec:
        return Reason.CHANGED
    if deployment.pinned_to not in (None, site.worker_id):
        return Reason.PINNED_ELSEWHERE
    return Reason.WORKER_REVOKED if site.refusal is Refusal.REVOKED else None


def _why_move(deployment: Wanted, site: Site, sites: Iterable[Site]) -> Reason | None:
    """A worker that leaves keeps what nobody else can take: it may well come back."""
    can_move = site.is_leaving and any(refusal(deployment, other) is None for other in sites)
    return Reason.WORKER_LEAVING if can_move else None


def _fill(
    deployments: Iterable[Wanted], sites: Sequence[Site], kept: Iterable[Placed]
) -> tuple[list[Placement], list[Unplaced]]:
    place: list[Placement] = []
    unplaced: list[Unplaced] = []
    taken = {(replica.deployment_id, replica.slot): replica.worker_id for replica in kept}
    for deployment in deployments:
        for slot in range(deployment.num_replicas):
            key = (deployment.deployment_id, slot)
            if key in taken:
                continue
            if worker_id := _choose(deployment, sites, taken):
                taken[key] = worker_id
                place.append(Placement(deployment=deployment, slot=slot, worker_id=worker_id))
            else:
                refusals = {site.name: why for site in sites if (why := refusal(deployment, site))}
                unplaced.append(Unplaced(deployment=deployment, slot=slot, refusals=refusals))
    return place, unplaced


def _choose(deployment: Wanted, sites: Iterable[Site], taken: Mapping[tuple[int, int], str]) -> str | None:
    """The least loaded worker that may take one more."""
    of_all = Counter(taken.values())
    of_this = Counter(worker_id for (owner, _slot), worker_id in taken.items() if owner == deployment.deployment_id)
    candidates = (site.worker_id for site in sites if refusal(deployment, site) is None)
    return min(candidates, key=lambda worker: (of_this[worker], of_all[worker], worker), default=None)
