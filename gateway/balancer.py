"""What this process knows of its replicas' load, and the choice among them by their model's policy."""

import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from django.conf import settings
from django.utils.timezone import now

from fleet.models import BalancingPolicy
from fleet.snapshot import RoutableReplica
from gateway.breaker import Breaker
from gateway.policies import POLICIES, Fits, Policy, Situation
from gateway.pool import Pool
from gateway.throttle import Throttle
from protocol.control import ReplicaPhase

_T = TypeVar("_T")
_MAX_REMEMBERED = 10_000
_WEIGHT_OF_NEWS = 0.2
_MIN_MEASURED_TOKENS = 8
_MAX_ENDINGS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of a request matters to the choice."""

    capability: str
    """"chat", "completions" or "embeddings"."""
    one_of: frozenset[str] = frozenset()
    """At least one of these, too; empty: nothing more."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """All of these, too, each with the parameter that asks for it."""
    session: str = ""
    beginning: str = ""


class LeftOut(StrEnum):
    """Why a ready replica is not asked."""

    AT_ITS_LIMIT = "at_its_limit"
    UNABLE = "unable"
    UNREACHABLE = "unreachable"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class _Report:
    """Requests on a replica that were not ours, as its worker's last word lets us know."""

    num_others: int
    heard_at: datetime


@dataclass(slots=True)
class Balancer:
    """All figures are this process's own; replicas by their ids, pools by their models."""

    in_flight: Counter[str] = field(default_factory=Counter)
    breaker: Breaker = field(default_factory=Breaker)
    throttle: Throttle = field(default_factory=Throttle)
    in_flight_by_model: Counter[str] = field(default_factory=Counter)
    """By base model: its adapters' requests are on the same replicas, and within the same limit."""
    _endings: dict[str, deque[datetime]] = field(default_factory=dict)
    """When our last requests there ended."""
    _reports: dict[str, _Report] = field(default_factory=dict)
    _others: dict[str, tuple[Pool, int]] = field(default_factory=dict)
    _full_until_s: dict[str, float] = field(default_factory=dict)
    """Replicas that had no room for one more, though we thought so."""
    _speeds: dict[str, float] = field(default_factory=dict)
    _policies: dict[str, tuple[BalancingPolicy, Policy]] = field(default_factory=dict)

    def pick(self, pool: Pool, wanted: Wanted, *, tried: Collection[str] = ()) -> RoutableReplica | None:
        """Whom to ask; None if nobody that was not tried has room. Takes no place: see `take`."""
        fits = self._fits(wanted, tried)
        chosen = self._choose(pool, wanted, self._with_room(fits))
        if chosen is None and self.breaker.troubles and not any(map(fits, pool.replicas)):
            # Rather one that failed than nobody.
            fits = self._fits_for_want_of_better(wanted, tried)
            chosen = self._choose(pool, wanted, self._with_room(fits))
        return chosen

    def would_pick(self, pool: Pool, wanted: Wanted) -> RoutableReplica | None:
        """As `pick`, without taking anybody's turn."""
        before = self._policies.get(pool.model)
        _remember(self._policies, pool.model, (pool.policy, copy(self._policy(pool))))
        try:
            return self.pick(pool, wanted)
        finally:
            if before:
                self._policies[pool.model] = before

    def why_not(self, replica: RoutableReplica, wanted: Wanted) -> LeftOut | None:
        """What keeps a replica from being asked."""
        if not self._can_answer(wanted, ())(replica):
            return LeftOut.UNABLE
        if not self.breaker.allows(replica, time.monotonic()):
            return LeftOut.UNREACHABLE if self.breaker.is_unreachable(replica) else LeftOut.FAILING
        return None if self.throttle.allows(replica, time.monotonic()) else LeftOut.AT_ITS_LIMIT

    def can_ask(self, pool: Pool, wanted: Wanted) -> bool:
        """Whether there is anybody to pick, now or once there is room."""
        return any(map(self._fits(wanted, ()), pool.replicas))

    def may_answer(self, pool: Pool, wanted: Wanted, *, tried: Collection[str] = ()) -> bool:
        """Whether somebody there can be asked, now or in a moment: not all have been out of reach for long."""
        can_answer, is_lost = self._can_answer(wanted, tried), self.breaker.is_lost
        lost_before_s = time.monotonic() - settings.RETURN_WITHIN.total_seconds()
        return any(can_answer(replica) and not is_lost(replica, lost_before_s) for replica in pool.replicas)

    def can_take(self, replica: RoutableReplica, wanted: Wanted, *, tried: Collection[str] = ()) -> bool:
        """Whether this one could be picked."""
        return self._with_room(self._fits(wanted, tried))(replica)

    def take(self, replica: RoutableReplica) -> bool:
        """A request will go there; whether it is on trial: see Breaker."""
        self.in_flight[replica.replica_id] += 1
        self.in_flight_by_model[replica.base] += 1
        self.throttle.sent(replica)
        return self.breaker.begin(replica, time.monotonic())

    def give_back(self, replica: RoutableReplica) -> None:
        """It has ended."""
        for counter, name in ((self.in_flight, replica.replica_id), (self.in_flight_by_model, replica.base)):
            counter[name] -= 1
            if not counter[name]:
                del counter[name]
        if replica.replica_id not in self._endings:
            _remember(self._endings, replica.replica_id, deque(maxlen=_MAX_ENDINGS))
        self._endings[replica.replica_id].append(now())

    def found_full(self, replica: RoutableReplica, for_s: float) -> None:
        """It turned a request away for want of room."""
        _remember(self._full_until_s, replica.replica_id, time.monotonic() + for_s)

    def heard(self, replica: RoutableReplica, num_requests: int) -> None:
        """A worker said, with an answer, how many requests that replica has."""
        others = max(0, num_requests - self.in_flight[replica.replica_id])
        _remember(self._reports, replica.replica_id, _Report(others, now()))

    def measured(self, replica: RoutableReplica, *, num_tokens: int, elapsed_s: float) -> None:
        """An answer of so many tokens took so long."""
        if num_tokens < _MIN_MEASURED_TOKENS or elapsed_s <= 0:
            return
        speed = num_tokens / elapsed_s
        before = self._speeds.get(replica.replica_id, speed)
        _remember(self._speeds, replica.replica_id, before + _WEIGHT_OF_NEWS * (speed - before))

    def load(self, replica: RoutableReplica) -> float:
        """Share of its places that are taken; above 1 when requests wait."""
        return (self.in_flight[replica.replica_id] + self._num_others(replica)) / replica.max_concurrency

    def num_requests(self, pool: Pool) -> int:
        """On all replicas of the pool, as far as we know: ours and, as of its snapshot, those of other gateways."""
        counted, num_others = self._others.get(pool.model, (None, 0))
        if counted is not pool:
            num_others = sum(map(self._num_others, pool.replicas))
            _remember(self._others, pool.model, (pool, num_others))
        return self.in_flight_by_model[pool.base] + num_others

    def speed(self, replica: RoutableReplica) -> float | None:
        """As the administrator gave it, or in tokens a second as it was measured here."""
        return replica.speed or self._speeds.get(replica.replica_id)

    def mean_load(self, pool: Pool) -> float:
        return max(pool.num_reported, self.in_flight_by_model[pool.base]) / (pool.num_places or 1)

    def _num_others(self, replica: RoutableReplica) -> int:
        """By what came with an answer, or by the heartbeat if that is newer."""
        report = self._reports.get(replica.replica_id)
        if report is None or report.heard_at < replica.observed_at:
            report = _Report(self._others_in_heartbeat(replica), replica.observed_at)
            _remember(self._reports, replica.replica_id, report)
        return report.num_others

    def _others_in_heartbeat(self, replica: RoutableReplica) -> int:
        """Seconds old, a heartbeat also counts requests of ours that have ended since: they must not hold places.

        Rather too few than too many: a request too much waits at the worker, a place too few stays empty.
        """
        endings = self._endings.get(replica.replica_id, ())
        num_ended_since = sum(ending > replica.observed_at for ending in endings)
        num_ours = self.in_flight[replica.replica_id] + num_ended_since
        return max(0, replica.num_running + replica.num_waiting - num_ours)

    def _policy(self, pool: Pool) -> Policy:
        chosen, policy = self._policies.get(pool.model, (None, None))
        if policy is None or chosen is not pool.policy:
            policy = POLICIES[pool.policy]()
            _remember(self._policies, pool.model, (pool.policy, policy))
        return policy

    def _choose(self, pool: Pool, wanted: Wanted, fits: Fits) -> RoutableReplica | None:
        policy = self._policy(pool)
        choices = (policy.choose(pool, self._situation(pool, wanted, among)) for among in self._awake_first(pool, fits))
        return next(filter(None, choices), None)

    def _awake_first(self, pool: Pool, fits: Fits) -> Iterator[Fits]:
        """Those that are awake; else those that are being woken, as their worker says or because we have asked them
        already; else somebody has to be woken."""
        if pool.has_sleepers:
            yield lambda replica: replica.phase is ReplicaPhase.READY and fits(replica)
            yield lambda replica: self._is_being_woken(replica) and fits(replica)
        yield fits

    def _is_being_woken(self, replica: RoutableReplica) -> bool:
        return replica.phase is ReplicaPhase.WAKING or replica.replica_id in self.in_flight

    def _situation(self, pool: Pool, wanted: Wanted, fits: Fits) -> Situation:
        return Situation(
            fits=fits,
            load=self.load,
            speed=self.speed,
            mean_load=self.mean_load(pool),
            session=wanted.session,
            beginning=wanted.beginning,
        )

    def _with_room(self, fits: Fits) -> Fits:
        """Fits, and has a free place; a provider's, within the limits of its administrator.

        What is known at once comes first: when nearly all are full, many are looked at.
        """
        clock_s, in_flight, full_until_s, throttle = time.monotonic(), self.in_flight, self._full_until_s, self.throttle
        return lambda replica: (
            in_flight.get(replica.replica_id, 0) < replica.max_concurrency
            and full_until_s.get(replica.replica_id, 0) <= clock_s
            and fits(replica)
            and self.load(replica) < 1
            and throttle.allows(replica, clock_s)
        )

    def _fits(self, wanted: Wanted, tried: Collection[str]) -> Fits:
        """Can be asked, and is not left out by the breaker."""
        can_answer, clock_s, breaker = self._can_answer(wanted, tried), time.monotonic(), self.breaker
        if not breaker.troubles:
            return can_answer
        return lambda replica: can_answer(replica) and breaker.allows(replica, clock_s)

    def _fits_for_want_of_better(self, wanted: Wanted, tried: Collection[str]) -> Fits:
        can_answer, breaker = self._can_answer(wanted, tried), self.breaker
        return lambda replica: can_answer(replica) and not breaker.is_unreachable(replica)

    def _can_answer(self, wanted: Wanted, tried: Collection[str]) -> Fits:
        """Able and not tried.

        Whose worker is silent is not in the pool, as far as the database says. While it cannot be read nobody's
        heartbeats can be heard, so they count against nobody: who is really gone is found by asking.
        """
        all_of, one_of = {wanted.capability, *wanted.needs}, wanted.one_of
        return lambda replica: (
            all_of <= replica.capabilities
            and (not one_of or not one_of.isdisjoint(replica.capabilities))
            and replica.replica_id not in tried
        )


def _remember(memory: dict[str, _T], name: str, value: _T) -> None:
    """Replicas and models come and go. What is forgotten here is soon learned again."""
    if len(memory) >= _MAX_REMEMBERED and name not in memory:
        memory.clear()
    memory[name] = value
