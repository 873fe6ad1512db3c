"""Places on replicas: given at once where one is free, else in fair turn.

    claim ── a place is free, and nobody waits ──▶ Place ── given back ──▶ to the claim whose turn it is
      │                                              ▲
      └── waits ── its turn ─────────────────────────┘
            └── bound passed, or nobody to wait for: QueueFull, WaitedTooLong, NoReplicaReady

Everything is this process's own and lives on its event loop. A place that is given back wakes the one whose turn it is
and nobody else; a single task, which runs only while somebody waits, looks for what comes without a sign of its own
(a new replica, fresh load figures, the end of a breaker's pause) and tells those who wait how they stand.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from django.conf import settings

from fleet.snapshot import RoutableReplica
from gateway.balancer import Balancer, Wanted
from gateway.errors import (
    GatewayError,
    ModelNotFound,
    NoReplicaReady,
    QueueFull,
    UnsupportedModel,
    UnsupportedParameter,
    WaitedTooLong,
)
from gateway.pool import Pool
from gateway.queue import FairQueue
from gateway.snapshot import SnapshotPoller

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.1
_TELL_EVERY_S = 1.0
_MAX_PASSED_OVER = 16
_BYTES_PER_TURN, _MAX_TURNS = 16 * 1024, 32
_RETRY_AFTER_UNKNOWN_S = 5
_WEIGHT_OF_NEWS = 0.2
_MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Of one that waits. `wait_s`: None while there is nothing to judge it by."""

    position: int
    wait_s: float | None


@dataclass(slots=True, kw_only=True, eq=False)
class Claim:
    """One call's wish for a place of one model, kept for all attempts: one that comes back stands where it stood."""

    model: str
    shown_as: str
    """The model's name as the caller knows it."""
    endpoint: str
    wanted: Wanted
    lane: Hashable
    """Who asks: shares are by key, and by person in the chat."""
    weight: int
    num_bytes: int
    """Of the body, which is held while it waits."""
    num_prompt_bytes: int = 0
    """Of what the model is to read of it."""
    has_alternative: Callable[[GatewayError], bool]
    """Whether the caller would rather go elsewhere with that error than wait."""
    tell: Callable[[Standing], None] | None = None
    tried: set[str] = field(default_factory=set)
    """Replicas that must not be asked again."""
    is_back: bool = False
    """It had its turn, in vain."""
    line: str = ""
    """In which it stands, once it has to wait."""
    queued_s: float = 0.0
    deadline_s: float = 0.0
    tell_at_s: float = 0.0
    turn: "asyncio.Future[Place] | None" = None

    @property
    def cost(self) -> int:
        """A turn for a request, and one more for each 4,096 tokens of its prompt or so. What it will generate nobody
        knows, and the limits that callers give say little of it."""
        return min(1 + self.num_prompt_bytes // _BYTES_PER_TURN, _MAX_TURNS)


@dataclass(slots=True, kw_only=True, eq=False)
class Place:
    """A place on a replica, until it is given back. `is_on_trial`: see Breaker."""

    replica: RoutableReplica
    is_on_trial: bool
    taken_at_s: float


class Admission:
    """Who may go to a replica now, and who waits."""

    def __init__(self, poller: SnapshotPoller, balancer: Balancer) -> None:
        self._poller = poller
        self._balancer = balancer
        self._lines: dict[str, FairQueue[Claim]] = {}
        """By `_line_of`; only those in which somebody waits."""
        self.num_told = 0
        """How often somebody who waits was told how they stand."""
        self._num_bytes = 0
        self._held_s: dict[str, float] = {}
        """How long a place of a model is held, lately."""
        self._taken_at_s: dict[str, float] = {}
        """When a line got its last place."""
        self._looking: asyncio.Task[None] | None = None

    @property
    def num_waiting(self) -> int:
        return sum(self.num_waiting_by_model.values())

    @property
    def num_waiting_by_model(self) -> dict[str, int]:
        """From any thread."""
        return {name: len(line) for name, line in list(self._lines.items())}

    async def place(self, claim: Claim) -> Place:
        """Raises GatewayError; cancelled, it leaves the line and takes nothing with it."""
        pool = self._poller.latest.pools.get(claim.model)
        has_turn = claim.is_back or self._line_of(claim.model) not in self._lines
        if pool and has_turn and (place := self._taken(claim, pool)):
            return place
        if error := self._why_not_wait(claim):
            raise error
        began_s = time.monotonic()
        self._num_bytes += claim.num_bytes
        try:
            return await self._turn_of(claim)
        finally:
            self._num_bytes -= claim.num_bytes
            claim.queued_s += time.monotonic() - began_s

    def must_wait(self, claim: Claim) -> bool:
        """Whether it would wait for its turn now; nothing is taken. Raises what it would be refused with."""
        pool = self._poller.latest.pools.get(claim.model)
        is_free = pool and self._line_of(claim.model) not in self._lines and not self._is_at_limit(pool)
        if pool and is_free and self._balancer.would_pick(pool, claim.wanted):
            return False
        if error := self._why_not_wait(claim):
            raise error
        return True

    def give_back(self, place: Place) -> None:
        """It is free; the next in turn gets it."""
        replica = place.replica
        self._balancer.give_back(replica)
        if place.is_on_trial:
            self._balancer.breaker.end_trial(replica)
        self._learn(replica.model, time.monotonic() - place.taken_at_s)
        for name in self._waiting_for(replica):
            self._serve(name, freed=replica.replica_id)

    def _waiting_for(self, replica: RoutableReplica) -> list[str]:
        """The lines in which its place is waited for, or its part of the limit that they share; by turns."""
        base_of = self._poller.latest.base_of
        waiting = [name for name in self._lines if base_of(name) == replica.base]
        return sorted(waiting, key=lambda name: self._taken_at_s.get(name, 0.0))

    def _line_of(self, model: str) -> str:
        """Whose line those who ask for that model stand in: adapters that all replicas of their base have stand in that
        of the base, so that nobody gets more turns by asking under several names. Others must not hold it up."""
        snapshot = self._poller.latest
        base = snapshot.base_of(model)
        own, whole = snapshot.pools.get(model), snapshot.pools.get(base)
        return base if base != model and own and whole and own.ids == whole.ids else model

    async def stop(self) -> None:
        """The process ends; those who wait are cancelled by whoever serves them."""
        looking, self._looking = self._looking, None
        if looking and looking.get_loop() is asyncio.get_running_loop():
            looking.cancel()
            await asyncio.wait({looking})

    async def _turn_of(self, claim: Claim) -> Place:
        turn = claim.turn = asyncio.get_running_loop().create_future()
        self._join(claim)
        try:
            async with asyncio.timeout(claim.deadline_s - time.monotonic()):
                return await turn
        except BaseException as error:
            self._leave(claim, turn)
            if isinstance(error, TimeoutError):
                raise self._out_of_time(claim) from None
            raise

    def _join(self, claim: Claim) -> None:
        """Raises QueueFull if, of all that wait, this is the one to go."""
        if not claim.deadline_s:
            claim.deadline_s = time.monotonic() + self._longest_wait_s(claim.model)
        claim.tell_at_s = time.monotonic() + _TELL_EVERY_S
        claim.line = claim.line or self._line_of(claim.model)
        line = self._lines.setdefault(claim.line, FairQueue())
        (line.put_back if claim.is_back else line.join)(claim)
        if len(line) > self._longest_line(claim.model):
            self._turn_away(line.greediest(), newcomer=claim)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look())

    def _turn_away(self, claim: Claim, *, newcomer: Claim) -> None:
        error = QueueFull(claim.shown_as, retry_after_s=self._retry_after_s(claim.model))
        self._drop(claim)
        if claim is newcomer:
            raise error
        _refuse(claim, error)

    def _leave(self, claim: Claim, turn: "asyncio.Future[Place]") -> None:
        """A place that came too late goes to the next."""
        if turn.done() and not turn.cancelled() and not turn.exception():
            self.give_back(turn.result())
        else:
            self._drop(claim)

    def _drop(self, claim: Claim) -> None:
        if line := self._lines.get(claim.line):
            line.leave(claim)
            self._forget_empty(claim.line, line)

    def _forget_empty(self, name: str, line: FairQueue[Claim]) -> None:
        if not line:
            self._lines.pop(name, None)

    def _serve(self, name: str, *, freed: str | None = None) -> None:
        """Give out places in turn: all that are free, or only the one that was `freed`."""
        line, pools = self._lines.get(name), self._poller.latest.pools
        if line is None:
            return
        passed_over: list[Claim] = []
        while line and len(passed_over) < _MAX_PASSED_OVER:
            claim = line.head()
            if claim.turn is None or claim.turn.done():
                line.leave(claim)  # Its caller has gone this instant.
                continue
            pool = pools.get(claim.model)
            place = self._taken(claim, pool, freed) if pool else None
            if place is None and self._line_of(claim.model) == name and not _is_choosy(claim, pool):
                break
            line.pop()
            if place is None:
                passed_over.append(claim)
                continue
            claim.turn.set_result(place)
            if freed:
                break
        for claim in reversed(passed_over):
            line.put_back(claim)
        self._forget_empty(name, line)

    def _taken(self, claim: Claim, pool: Pool, freed: str | None = None) -> Place | None:
        """A place if there is one: that which was freed, or by the model's policy."""
        if self._is_at_limit(pool):
            return None
        replica = pool.replica(freed) if freed else None
        if replica is None or not self._balancer.can_take(replica, claim.wanted, tried=claim.tried):
            replica = self._balancer.pick(pool, claim.wanted, tried=claim.tried)
        if replica is None:
            return None
        is_on_trial = self._balancer.take(replica)
        self._taken_at_s[self._line_of(claim.model)] = time.monotonic()
        return Place(replica=replica, is_on_trial=is_on_trial, taken_at_s=time.monotonic())

    def _is_at_limit(self, pool: Pool) -> bool:
        snapshot = self._poller.latest
        entry, whole = snapshot.model(pool.model), snapshot.pools.get(pool.base, pool)
        limit = entry.max_concurrency if entry else None
        return limit is not None and self._balancer.num_requests(whole) >= limit

    def _why_not_wait(self, claim: Claim) -> GatewayError | None:
        if error := self._nobody_to_wait_for(claim):
            return error
        retry_after_s = self._retry_after_s(claim.model)
        error = QueueFull(claim.shown_as, retry_after_s=retry_after_s) if self._is_busy(claim) else _not_ready(claim)
        if claim.has_alternative(error):
            return error
        is_too_much = self._num_bytes + claim.num_bytes > settings.QUEUE_MAX_BYTES
        if is_too_much or self.num_waiting >= settings.QUEUE_MAX_REQUESTS:
            return QueueFull(claim.shown_as, retry_after_s=retry_after_s)
        return None

    def _nobody_to_wait_for(self, claim: Claim) -> GatewayError | None:
        snapshot = self._poller.latest
        pool = snapshot.pools.get(claim.model)
        if snapshot.model(claim.model) is None:
            return ModelNotFound(claim.shown_as)
        if pool and not any(claim.wanted.capability in replica.capabilities for replica in pool.replicas):
            return UnsupportedModel(claim.shown_as, claim.endpoint)
        if pool and (param := _unsupported_param(claim.wanted, pool)):
            return UnsupportedParameter(claim.shown_as, param)
        if pool and self._balancer.may_answer(pool, claim.wanted, tried=claim.tried):
            return None
        return None if snapshot.is_awaited(claim.model) else _not_ready(claim)

    def _is_busy(self, claim: Claim) -> bool:
        """Whether somebody is there who could answer, had they a place."""
        pool = self._poller.latest.pools.get(claim.model)
        return pool is not None and self._balancer.can_ask(pool, claim.wanted)

    def _out_of_time(self, claim: Claim) -> GatewayError:
        if self._is_busy(claim):
            return WaitedTooLong(claim.shown_as, retry_after_s=self._retry_after_s(claim.model))
        return _not_ready(claim)

    async def _look(self) -> None:
        tell_at_s = 0.0
        while self._lines:
            await asyncio.sleep(_LOOK_EVERY_S)
            is_time_to_tell = time.monotonic() >= tell_at_s
            for name in list(self._lines):
                try:
                    self._look_at(name, is_time_to_tell=is_time_to_tell)
                except Exception:
                    # One line's fault must not leave all others waiting.
                    logger.exception("The queue of %s could not be looked after", name)
            if is_time_to_tell:
                tell_at_s = time.monotonic() + _TELL_EVERY_S

    def _look_at(self, name: str, *, is_time_to_tell: bool) -> None:
        self._serve(name)
        line = self._lines.get(name)
        if line and is_time_to_tell:
            for position, claim in enumerate(line, 1):
                if error := self._nobody_to_wait_for(claim):
                    self._drop(claim)
                    _refuse(claim, error)
                else:
                    self._tell(claim, position)

    def _tell(self, claim: Claim, position: int) -> None:
        """Who stands far back hears less often: thousands that wait must not keep the loop busy with being told so."""
        clock_s = time.monotonic()
        if claim.tell and clock_s >= claim.tell_at_s:
            claim.tell(Standing(position=position, wait_s=self._expected_wait_s(claim.model, position)))
            self.num_told += 1
            claim.tell_at_s = clock_s + max(_TELL_EVERY_S, position / 100)

    def _expected_wait_s(self, model: str, position: int) -> float | None:
        """By how long a place is held lately, and how many of them are ours."""
        num_places = self._balancer.in_flight_by_model[self._poller.latest.base_of(model)]
        held_s = self._held_s.get(model)
        return None if held_s is None or not num_places else position * held_s / num_places

    def _retry_after_s(self, model: str) -> int:
        """When those who wait now will have had their turn, if that can be told; within reason."""
        line = self._lines.get(self._line_of(model))
        wait_s = self._expected_wait_s(model, len(line) + 1 if line else 1)
        if wait_s is None:
            return _RETRY_AFTER_UNKNOWN_S
        return math.ceil(min(max(wait_s, 1), self._longest_wait_s(model)))

    def _learn(self, model: str, held_s: float) -> None:
        before = self._held_s.get(model, held_s)
        if len(self._held_s) >= _MAX_REMEMBERED:
            self._held_s.clear()
        self._held_s[model] = before + _WEIGHT_OF_NEWS * (held_s - before)

    def _longest_line(self, model: str) -> int:
        entry = self._poller.latest.model(model)
        given = entry.max_queue_length if entry else None
        return settings.QUEUE_LENGTH if given is None else given

    def _longest_wait_s(self, model: str) -> float:
        entry = self._poller.latest.model(model)
        given = entry.max_queue_wait_s if entry else None
        return given or settings.QUEUE_WAIT.total_seconds()


def _is_choosy(claim: Claim, pool: Pool | None) -> bool:
    """Whether others may find a place where this one does not."""
    wanted = claim.wanted
    is_particular = bool(claim.tried or wanted.one_of or wanted.needs)
    return pool is not None and (is_particular or wanted.capability not in pool.capabilities_of_all)


def _unsupported_param(wanted: Wanted, pool: Pool) -> str | None:
    """The first parameter that none of the replicas honours which honour those before it."""
    able = [replica.capabilities for replica in pool.replicas]
    for capability, param in wanted.needs.items():
        able = [capabilities for capabilities in able if capability in capabilities]
        if not able:
            return param
    return None


def _not_ready(claim: Claim) -> NoReplicaReady:
    return NoReplicaReady(claim.shown_as)


def _refuse(claim: Claim, error: GatewayError) -> None:
    if claim.turn and not claim.turn.done():
        claim.turn.set_exception(error)
