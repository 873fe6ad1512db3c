"""Which of a model's replicas to ask: the policies that an administrator may choose from.

Each is an object that belongs to one model in one process, and chooses among the replicas that `fits` lets through.
None of them looks at every replica as long as most fit: drawing a few at random and looking at those costs the same
with ten replicas and with a thousand.
"""

import hashlib
import heapq
import math
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import random
from typing import Protocol

from fleet.models import BalancingPolicy
from fleet.snapshot import RoutableReplica
from gateway.pool import Pool

_NUM_DRAWN, _DRAWN_ABOVE = 4, 8
_MAX_DRAWS = 24
_NUM_GROUPS, _NUM_FAVOURITES = 32, 3
_ODD, _MASK = 0x9E3779B97F4A7C15, 2**64 - 1
_HOT = 1.25
"""How far above the mean a favourite's load may lie, before a conversation goes elsewhere."""


Fits = Callable[[RoutableReplica], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a policy may ask of the process it runs in, for one request."""

    fits: Fits
    """Whether that replica can be asked at all."""
    load: Callable[[RoutableReplica], float]
    """Share of its places that are taken; above 1 when requests wait."""
    speed: Callable[[RoutableReplica], float | None]
    """In proportion to the others; None where it is not known yet."""
    mean_load: float
    """Of the whole pool."""
    session: str
    """Who talks: the same for all requests of one session."""
    beginning: str
    """How the conversation begins: the same for all its turns."""


class Policy(Protocol):
    def choose(self, pool: Pool, now: Situation) -> RoutableReplica | None:
        """One that fits; None if none does."""


class LeastLoad:
    """The one with the smallest share of its places taken for its speed, the request's own place among them; of many
    replicas, the best of four drawn at random.

    With stale figures that is better than the best of all, to which several gateways would run together, and than the
    best of two: see bench/routing.py. A fast replica is free again sooner than the figures say, a slow one later.
    """

    def choose(self, pool: Pool, now: Situation) -> RoutableReplica | None:
        drawn = some_drawn(pool.replicas, now) if len(pool.replicas) > _DRAWN_ABOVE else []
        candidates = drawn or shuffled(fitting(pool, now))
        with_speeds = zip(candidates, chances(candidates, now), strict=True)
        best = min(with_speeds, key=lambda one: _expected_wait(one[0], one[1], now), default=None)
        return best and best[0]


class RoundRobin:
    """Each in turn."""

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, pool: Pool, now: Situation) -> RoutableReplica | None:
        num = len(pool.replicas)
        for position in range(self._turn, self._turn + num):
            replica = pool.replicas[position % num]
            if now.fits(replica):
                self._turn = (position + 1) % num
                return replica
        return None


class Weighted:
    """A lottery in which a replica's chance is its speed: FastChat's `lottery`. An unknown speed counts as average."""

    def __init__(self) -> None:
        self._pool: Pool | None = None
        self._tickets: list[float] = []

    def choose(self, pool: Pool, now: Situation) -> RoutableReplica | None:
        if pool is not self._pool:
            self._pool, self._tickets = pool, list(accumulate(chances(pool.replicas, now)))
        for _ in range(_MAX_DRAWS if pool.replicas else 0):
            replica = pool.replicas[bisect(self._tickets, random() * self._tickets[-1], hi=len(self._tickets) - 1)]
            if now.fits(replica):
                return replica
        left = fitting(pool, now)
        tickets = list(accumulate(chances(left, now)))
        return left[bisect(tickets, random() * tickets[-1], hi=len(left) - 1)] if left else None


class SessionAffinity:
    """A session stays with its replica as long as that one can be asked."""

    def __init__(self) -> None:
        self._favourites = Favourites()
        self._otherwise = LeastLoad()

    def choose(self, pool: Pool, now: Situation) -> RoutableReplica | None:
        for replica in self._favourites.of(pool, now.session):
            if now.fits(replica):
                return replica
        return self._otherwise.choose(pool, now)


class PrefixAffinity:
    """A conversation returns to the replica that has its beginning in its cache, unless that one is busier than most.

    Then comes the second and the third in the order of that beginning, so that a beginning which everybody uses ends up
    in the caches of a few. The bound is that of consistent hashing with bounded loads (Mirrokni and others, 2016).
    """

    def __init__(self) -> None:
        self._favourites = Favourites()
        self._otherwise = LeastLoad()

    def choose(self, pool: Pool, now: Situation) -> RoutableReplica | None:
        for replica in self._favourites.of(pool, now.beginning):
            if now.fits(replica) and not is_hot(replica, now):
                return replica
        return self._otherwise.choose(pool, now)


class Favourites:
    """Weighted rendezvous hashing in two steps: the replicas that a key likes best.

    First a few of 32 groups, then in each the best of its members: to compare a thousand replicas for each request
    would cost more than all the rest. When a replica comes or goes, about two shares of keys move where one is the
    least possible. Source: Thaler and Ravishankar 1998; for the weights Schindelhauer and Schomaker 2005.
    """

    def __init__(self) -> None:
        self._ids: tuple[str, ...] = ()
        self._groups: list[_Group] = []

    def of(self, pool: Pool, key: str) -> Iterator[RoutableReplica]:
        """Best first; at most three."""
        if pool.ids is not self._ids:
            self._renew(pool.ids)
        salt = stable_hash(key)
        for group in heapq.nlargest(_NUM_FAVOURITES, self._groups, key=lambda group: group.appeal(salt)):
            yield pool.replicas[group.best(salt)]

    def _renew(self, ids: tuple[str, ...]) -> None:
        if ids != self._ids:
            groups: defaultdict[int, _Group] = defaultdict(_Group)
            for place, seed in enumerate(map(stable_hash, ids)):
                groups[seed % _NUM_GROUPS].add(place, seed)
            self._groups = [groups[number] for number in sorted(groups)]
        self._ids = ids


class _Group:
    """Replicas, by their place in the pool and the hash of their id."""

    def __init__(self) -> None:
        self._members: list[tuple[int, int]] = []
        self._seed = 0

    def add(self, place: int, seed: int) -> None:
        self._members.append((seed, place))
        self._seed = stable_hash(f"group {seed % _NUM_GROUPS}")

    def appeal(self, salt: int) -> float:
        """Negative; the largest wins, as often as the group has members."""
        return math.log((_stirred(self._seed, salt) | 1) / 2**64) / len(self._members)

    def best(self, salt: int) -> int:
        return max(self._members, key=lambda member: _stirred(member[0], salt))[1]


def stable_hash(text: str) -> int:
    """64 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _stirred(seed: int, salt: int) -> int:
    """64 bits; both are hashes already."""
    return (seed ^ salt) * _ODD & _MASK


def some_drawn(replicas: Sequence[RoutableReplica], now: Situation) -> list[RoutableReplica]:
    """Four that fit, possibly one of them twice; fewer, or none, if a few draws do not find them."""
    drawn, num = [], len(replicas)
    for _ in range(_MAX_DRAWS):
        replica = replicas[int(random() * num)]
        if now.fits(replica):
            drawn.append(replica)
            if len(drawn) == _NUM_DRAWN:
                break
    return drawn


def fitting(pool: Pool, now: Situation) -> list[RoutableReplica]:
    return [replica for replica in pool.replicas if now.fits(replica)]


def shuffled(replicas: list[RoutableReplica]) -> list[RoutableReplica]:
    """The same, begun at a random place: of equals it must not always be the first that is asked."""
    start = int(random() * len(replicas))
    return replicas[start:] + replicas[:start]


def _expected_wait(replica: RoutableReplica, speed: float, now: Situation) -> float:
    """Until the replica has done what it would have to do, in proportion to the others."""
    return (now.load(replica) + 1 / replica.max_concurrency) / speed


def is_hot(replica: RoutableReplica, now: Situation) -> bool:
    """Whether one more request would lift it above 1.25 times the mean; an idle one never is."""
    num_allowed = max(1, math.ceil(_HOT * now.mean_load * replica.max_concurrency))
    return now.load(replica) * replica.max_concurrency + 1 > num_allowed


def chances(replicas: Sequence[RoutableReplica], now: Situation) -> list[float]:
    """Each one's speed; the mean of the known ones where it is not known."""
    speeds = [now.speed(replica) for replica in replicas]
    known = [speed for speed in speeds if speed]
    mean = sum(known) / len(known) if known else 1.0
    return [speed or mean for speed in speeds]


POLICIES: dict[BalancingPolicy, type[Policy]] = {
    BalancingPolicy.LEAST_LOAD: LeastLoad,
    BalancingPolicy.ROUND_ROBIN: RoundRobin,
    BalancingPolicy.WEIGHTED: Weighted,
    BalancingPolicy.SESSION_AFFINITY: SessionAffinity,
    BalancingPolicy.PREFIX_AFFINITY: PrefixAffinity,
}
