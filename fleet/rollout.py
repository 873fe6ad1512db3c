"""Rule: which replicas must go, which slots need a new one, and when, so that no request is lost on the way.

A deployment of n replicas has n slots, each held by one replica. One that must go (another version is wanted, it should
run elsewhere, a restart was asked for) keeps answering until another can:

    old serves ──▶ new one beside it (surge) ──▶ new one is ready and has proven itself ──▶ old one is retired
        └── its worker lacks the memory, or the deployment says so ──▶ old one is retired and unloaded ──▶ new one
            in its place (swap); meanwhile the other slots answer, or requests wait in the gateway

The first replica of a new version goes alone; once it has proven itself, a quarter of the slots at a time. A version
proves itself by being ready for `proving_s` seconds without failing too many of its answers.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from fleet.models import RollbackCause
from fleet.placement import Placed, Placement, Prospects, Site, Unplaced, Vacancy, Wanted, Why, fill
from protocol.control import ANSWERING

MAX_FAILURES = 2
"""A new version that breaks down so often, at loading or later, is given up."""
MIN_ERRORS, MAX_ERROR_SHARE = 3, 0.1
"""So is one that spoils so many of its answers, and such a share of them."""
_SLOTS_AT_A_TIME = 4
"""One of so many."""


class Reason(TextChoices):
    """Why a replica must go."""

    NOT_WANTED = "not_wanted", _("the deployment wants fewer replicas")
    CHANGED = "changed", _("the deployment was changed")
    PINNED_ELSEWHERE = "pinned_elsewhere", _("the deployment is pinned to another worker")
    WORKER_REVOKED = "worker_revoked", _("the worker is revoked")
    WORKER_LEAVING = "worker_leaving", _("the worker is draining or lost, and another can take over")
    WORKER_DRAINED = "worker_drained", _("the worker is being emptied, and no other can take over")
    RESTART = "restart", _("an administrator asked for a restart")


_AT_ONCE = frozenset({Reason.WORKER_REVOKED, Reason.WORKER_DRAINED})
"""Nobody waits for another to take over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    replica: Placed
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    retire: Sequence[Retirement]
    place: Sequence[Placement]
    unplaced: Sequence[Unplaced]
    through: frozenset[int]
    """Deployments of which every replica is as it should be and has proven itself."""


def plan(wanted: Iterable[Wanted], sites: Sequence[Site], placed: Sequence[Placed]) -> Plan:
    """What to do now so that each deployment comes to have its replicas. The same input always gives the same plan."""
    deployments = {deployment.deployment_id: deployment for deployment in wanted}
    prospects = Prospects(sites, deployments, placed)
    crews = _crews(deployments, prospects, placed)
    retire = [retirement for crew in crews for retirement in crew.leaving]
    gone = {retirement.replica.replica_id for retirement in retire}
    staying = [replica for replica in placed if not replica.is_retired and replica.replica_id not in gone]
    place, unplaced = fill([vacancy for crew in crews for vacancy in crew.vacancies()], prospects, staying)
    stuck = {(slot.deployment.deployment_id, slot.slot) for slot in unplaced}
    retire += [swap for crew in crews for swap in crew.swaps(stuck)]
    through = frozenset(crew.deployment.deployment_id for crew in crews if crew.is_through)
    return Plan(retire=retire, place=place, unplaced=unplaced, through=through)


def failure(spec: Mapping[str, Any], placed: Iterable[Placed]) -> tuple[RollbackCause, str] | None:
    """Why replicas of this version are not fit to take over, with the engine's words or figures; None: they may be."""
    new = [replica for replica in placed if replica.spec == spec and not replica.is_retired]
    for replica in new:
        if replica.num_failures >= MAX_FAILURES:
            return RollbackCause.BROKE, replica.error
    num_errors, num_answers = sum(replica.num_errors for replica in new), sum(replica.num_answers for replica in new)
    if num_errors >= MIN_ERRORS and num_errors > MAX_ERROR_SHARE * num_answers:
        return RollbackCause.ERRORS, f"{num_errors} / {num_answers}"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """`good` is who should hold it; of the others, `leaving` go now, and `kept` when `good` has proven itself."""

    number: int
    good: Placed | None
    is_covered: bool
    """`good` has proven itself."""
    leaving: tuple[Retirement, ...]
    kept: tuple[Retirement, ...]

    @property
    def is_served(self) -> bool:
        return bool(self.kept) or (self.good is not None and self.good.phase in ANSWERING)


class _Crew:
    """One deployment's replicas, slot by slot."""

    def __init__(self, deployment: Wanted, prospects: Prospects, placed: Iterable[Placed]) -> None:
        self.deployment = deployment
        self._prospects = prospects
        holders: defaultdict[int, list[Placed]] = defaultdict(list)
        self._unloading: set[int] = set()
        for replica in placed:
            if replica.is_retired:
                self._unloading.add(replica.slot)
            else:
                holders[replica.slot].append(replica)
        self._slots = [self._slot(number, holders.pop(number, [])) for number in range(deployment.num_replicas)]
        self._surplus = [replica for rest in holders.values() for replica in rest]

    @property
    def leaving(self) -> list[Retirement]:
        """Who can be retired without a loss, or must be."""
        surplus = [Retirement(replica=replica, reason=Reason.NOT_WANTED) for replica in self._surplus]
        return surplus + [retirement for slot in self._slots for retirement in slot.leaving]

    @property
    def is_through(self) -> bool:
        """Everything that runs is as it should be, and has proven itself."""
        is_clean = not self._surplus and not any(slot.leaving or slot.kept for slot in self._slots)
        return is_clean and bool(self._slots) and all(slot.is_covered for slot in self._slots)

    def vacancies(self) -> list[Vacancy]:
        """Slots to be filled: empty ones, and those whose replica may get its successor now."""
        empty = [slot for slot in self._slots if slot.good is None and not slot.kept and not self._is_blocked(slot)]
        due = [] if self.deployment.is_swapping else self._due()
        return [Vacancy(deployment=self.deployment, slot=slot.number) for slot in empty] + [
            Vacancy(deployment=self.deployment, slot=slot.number, replaces=slot.kept[0].replica) for slot in due
        ]

    def swaps(self, stuck: Collection[tuple[int, int]]) -> Sequence[Retirement]:
        """Who makes room for a successor that has no place beside it; one slot at a time, while the others answer."""
        for slot in self._due():
            is_stuck = (self.deployment.deployment_id, slot.number) in stuck and self._would_fit_instead(slot)
            others_answer = all(other.is_served for other in self._slots if other is not slot)
            if others_answer and (self.deployment.is_swapping or is_stuck):
                return slot.kept
        return ()

    def _slot(self, number: int, holders: Sequence[Placed]) -> _Slot:
        reasons = [(replica, self._why_go(replica)) for replica in holders]
        fit = sorted((replica for replica, reason in reasons if reason is None), key=self._seniority)
        good = fit[0] if fit else None
        is_covered = good is not None and self._is_proven(good)
        others = [Retirement(replica=replica, reason=reason) for replica, reason in reasons if reason is not None]
        others += [Retirement(replica=replica, reason=Reason.NOT_WANTED) for replica in fit[1:]]
        kept = tuple(other for other in others if not is_covered and self._is_worth_keeping(other))
        leaving = tuple(other for other in others if other not in kept)
        return _Slot(number=number, good=good, is_covered=is_covered, leaving=leaving, kept=kept)

    def _why_go(self, replica: Placed) -> Reason | None:
        site = self._prospects.site(replica.worker_id)
        if site.refusal and site.refusal.why is Why.REVOKED:
            return Reason.WORKER_REVOKED
        if replica.spec != self.deployment.spec:
            return Reason.CHANGED
        if self.deployment.pinned_to and site.worker_id not in self.deployment.pinned_to:
            return Reason.PINNED_ELSEWHERE
        return Reason.RESTART if replica.must_restart else self._why_move(site)

    def _why_move(self, site: Site) -> Reason | None:
        """A worker that leaves keeps what nobody else can take: it may well come back. Unless it must be emptied."""
        if not site.is_leaving and not site.must_empty:
            return None
        if any(self._prospects.refusal(self.deployment, other) is None for other in self._prospects.sites):
            return Reason.WORKER_LEAVING
        return Reason.WORKER_DRAINED if site.must_empty else None

    def _is_proven(self, replica: Placed) -> bool:
        """It answers, and has for long enough; one that spoils answers has yet to show that they are few."""
        is_ready = replica.phase in ANSWERING and self._prospects.site(replica.worker_id).is_up
        if not self.deployment.proving_s:
            return is_ready
        is_sound = replica.num_errors <= MAX_ERROR_SHARE * replica.num_answers
        return is_ready and is_sound and replica.ready_for_s >= self.deployment.proving_s

    def _is_worth_keeping(self, other: Retirement) -> bool:
        """It answers requests, or may again in a moment: a worker that has just fallen silent."""
        site = self._prospects.site(other.replica.worker_id)
        answers = other.replica.phase in ANSWERING and (site.is_up or not site.is_leaving)
        return answers and other.reason not in _AT_ONCE

    def _seniority(self, replica: Placed) -> tuple[bool, float]:
        return not self._is_proven(replica), -replica.ready_for_s

    def _due(self) -> list[_Slot]:
        """Slots whose replica may be replaced now; as many as the version has earned, less those under way."""
        waiting = [slot for slot in self._slots if slot.kept and slot.good is None]
        is_proven = any(slot.is_covered for slot in self._slots)
        num_at_a_time = max(1, self.deployment.num_replicas // _SLOTS_AT_A_TIME) if is_proven else 1
        return waiting[: max(0, num_at_a_time - sum(map(self._is_under_way, self._slots)))]

    def _is_under_way(self, slot: _Slot) -> bool:
        return slot.good is not None and not slot.is_covered and bool(slot.kept or self.deployment.proving_s)

    def _is_blocked(self, slot: _Slot) -> bool:
        """One at a time is wanted, and who was here is not unloaded yet."""
        return self.deployment.is_swapping and slot.number in self._unloading

    def _would_fit_instead(self, slot: _Slot) -> bool:
        return self._prospects.would_fit_instead(self.deployment, slot.kept[0].replica.worker_id)


def _crews(deployments: Mapping[int, Wanted], prospects: Prospects, placed: Iterable[Placed]) -> list[_Crew]:
    by_deployment: defaultdict[int, list[Placed]] = defaultdict(list)
    for replica in placed:
        by_deployment[replica.deployment_id].append(replica)
    return [_Crew(deployment, prospects, by_deployment[number]) for number, deployment in deployments.items()]
