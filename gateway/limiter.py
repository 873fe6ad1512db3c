"""Limits of keys and teams, held by all web processes together: reserved before a request runs, settled after it.

    reserve ──▶ each limit's lease has enough ──▶ Reservation ── settle: what was really used ──▶ back to the lease
       │            └── no: more is taken of the store, a little ahead ──▶ Lease
       └── the store has no room: RateLimitExceeded, InsufficientQuota; what was reserved of other limits goes back

A lease is what this process has taken of a limit and may give out without asking anybody. It is a hundredth of the
limit at most, or what one request needs; what nobody uses goes back to the store. So processes cannot give out more
than the limit together, and all but a few hundredths of it are to be had at each.
"""

import asyncio
import math
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.errors import GatewayError, InsufficientQuota, RateLimitExceeded
from gateway.keyring import Caller
from gateway.limit_store import LimitStore
from gateway.limits import WARNING_STEPS, Balance, Entries, Limit, Measure, Slot, Span, Subject, added, room_at_s, used
from gateway.snapshot import SnapshotPoller
from gateway.uninterrupted import uninterrupted

_LOOK_EVERY_S, _IDLE_S, _REFRESH_EVERY_S = 1.0, 2.0, 5.0
_REFUSE_UNASKED_S = 1.0
"""So long a limit that is used up is not asked about again: a client that hammers must not keep the store busy."""
_AHEAD = {Span.MINUTE: 0.01, Span.NOW: 0.0}
_AHEAD_OF_BUDGET = 0.001
_LEAST = 1e-9
"""Even what costs nothing is refused when a budget is used up, or there never was any."""

Amounts = Mapping[Measure, float]


@dataclass(slots=True, eq=False, kw_only=True)
class _Taking:
    """One wish to the store, and what came of it."""

    limit: Limit
    slot: Slot
    clock_s: float
    needed: float
    ahead: float
    num_held: int
    seed: Callable[[Limit], float]
    granted: float = 0.0
    free: float = 0.0
    """What is left for all."""
    room_at_s: float = 0.0
    resets_at_s: float = 0.0
    """When all of the limit is free, if nobody uses any more."""

    def __call__(self, entries: Entries) -> Entries:
        if self.limit.measure is Measure.PARALLEL:
            # What the store believes of this process is older than what the process knows.
            entries = added(_without(entries, self.slot.label), self.slot, self.num_held, self.clock_s)
        elif self.limit.is_budget and self.slot.label not in entries:
            entries = added(entries, self.slot, self.seed(self.limit), self.clock_s)
        self.free = self.limit.amount - used(entries, self.clock_s)
        self.granted = min(max(self.needed, self.ahead), self.free) if self.free >= self.needed else 0.0
        self.room_at_s = room_at_s(entries, self.limit.amount, self.needed, self.clock_s)
        after = added(entries, self.slot, self.granted, self.clock_s) if self.granted else entries
        self.free -= self.granted
        self.resets_at_s = max((until for _, until in after.values()), default=self.clock_s)
        return after


@dataclass(slots=True, eq=False)
class _Lease:
    """Of one limit. `left` below zero: more was used than reserved, and the store has not heard of it."""

    limit: Limit
    left: float = 0.0
    slot: Slot | None = None
    """That it was last taken in."""
    num_held: int = 0
    """Requests that run now."""
    free: float = 0.0
    resets_at_s: float = 0.0
    refusal: GatewayError | None = None
    refused_until_s: float = 0.0
    refused_amount: float = 0.0
    touched_s: float = 0.0
    told_s: float = 0.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def ahead(self) -> float:
        """So much is taken, and kept, beyond what is needed now."""
        return self.limit.amount * _AHEAD.get(self.limit.span, _AHEAD_OF_BUDGET)

    def drop_expired(self, clock_s: float) -> None:
        """What was taken in a time that is over is lost; what is owed stays owed."""
        if self.slot and self.slot.expires_at_s <= clock_s:
            self.left = min(self.left, 0.0)

    def is_refused(self, amount: float, clock_s: float) -> bool:
        return clock_s < self.refused_until_s and amount >= self.refused_amount


class Reservation:
    """A request's part of its caller's limits. Settled once, with what it used."""

    def __init__(self, limiter: "Limiter") -> None:
        self._limiter = limiter
        self._parts: list[tuple[_Lease, float, float]] = []
        """Lease, amount, and until when that amount counts."""

    def add(self, lease: _Lease, amount: float) -> None:
        lease.left -= amount
        lease.num_held += 1
        lease.touched_s = time.monotonic()
        self._parts.append((lease, amount, lease.slot.expires_at_s if lease.slot else 0.0))

    def settle(self, amounts: Amounts) -> None:
        """What is not in the amounts was not used."""
        parts, self._parts = self._parts, []
        for lease, reserved, until_s in parts:
            lease.num_held -= 1
            lease.touched_s = time.monotonic()
            unused = reserved - amounts.get(lease.limit.measure, 0.0)
            # What counted in a minute or a month that is over does not make room in this one.
            if unused < 0 or until_s > time.time():
                lease.left += unused
            if lease.limit.measure is Measure.PARALLEL:
                lease.left = 0.0
                self._limiter.tell(lease)

    def headers(self) -> dict[str, str]:
        """OpenAI's `x-ratelimit-*`, of the limits of a minute: for each measure the one with the least left. And our
        warning of the budgets of which much is used, this request's part included."""
        leases = [lease for lease, _, _ in self._parts]
        return _headers(leases) | _budget_warning(leases)


class Limiter:
    """One for each web process. On the event loop; only the store is asked in a thread."""

    def __init__(self, poller: SnapshotPoller, store: LimitStore) -> None:
        self._poller = poller
        self._store = store
        self._process = uuid.uuid4().hex
        self._leases: dict[str, _Lease] = {}
        self._looking: asyncio.Task[None] | None = None

    def limits_of(self, caller: Caller) -> tuple[Limit, ...]:
        """Those of the key, then those of the team."""
        limits = self._poller.latest.limits
        of_key = limits.get((Subject.KEY, caller.key_id), ()) if caller.key_id else ()
        return (*of_key, *limits.get((Subject.TEAM, caller.team_id), ())) if caller.team_id else of_key

    async def balances(self, limits: Sequence[Limit]) -> list[Balance]:
        """What this process took ahead counts as not used."""
        found = await self._store.balances(limits)
        return [replace(one, used=max(0.0, one.used - self._ahead_of(one.limit))) for one in found]

    async def reserve(self, limits: Iterable[Limit], amounts: Amounts) -> Reservation:
        """Raises RateLimitExceeded, InsufficientQuota; then, or cancelled, nothing is reserved."""
        reservation = Reservation(self)
        try:
            for limit in limits:
                amount = max(min(amounts.get(limit.measure, 0.0), limit.amount), _LEAST)
                reservation.add(await self._lease_with(limit, amount), amount)
        except BaseException:
            reservation.settle({})
            raise
        return reservation

    def tell(self, lease: _Lease) -> None:
        """Let the store know how many requests run, unless it is being asked just now and hears it anyway."""
        if not lease.asking.locked():
            lease.told_s = time.monotonic()
            self._store.change_soon(lease.limit.bucket, self._saying(lease))

    async def stop(self) -> None:
        """Give back what nobody used."""
        looking, self._looking = self._looking, None
        if looking and looking.get_loop() is asyncio.get_running_loop():
            looking.cancel()
            await asyncio.wait({looking})
        for lease in self._leases.values():
            self._return(lease)
        await self._store.close()

    async def _lease_with(self, limit: Limit, amount: float) -> _Lease:
        lease = self._lease(limit)
        lease.drop_expired(time.time())
        if lease.left >= amount and limit.measure is not Measure.PARALLEL:
            return lease
        async with lease.asking:
            while lease.left < amount:
                # To the end, also for a caller that goes: what was taken must not get lost.
                await uninterrupted(self._ask(lease, amount))
        return lease

    def _ahead_of(self, limit: Limit) -> float:
        lease = self._leases.get(limit.bucket)
        if lease is None:
            return 0.0
        lease.drop_expired(time.time())
        return lease.left

    def _lease(self, limit: Limit) -> _Lease:
        lease = self._leases.setdefault(limit.bucket, _Lease(limit))
        lease.limit = limit
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look())
        return lease

    async def _ask(self, lease: _Lease, amount: float) -> None:
        """Take more of the store. Raises what the caller should hear where there is no more."""
        clock_s, limit = time.time(), lease.limit
        if lease.refusal and lease.is_refused(amount, clock_s):
            raise lease.refusal
        taking = _Taking(
            limit=limit,
            slot=limit.slot(clock_s, self._process),
            clock_s=clock_s,
            needed=amount - lease.left,
            ahead=lease.ahead,
            num_held=lease.num_held,
            seed=self._store.seed,
        )
        await self._store.change(limit.bucket, taking)
        lease.free, lease.resets_at_s = taking.free, taking.resets_at_s
        if not taking.granted:
            raise self._refuse(lease, taking, amount)
        lease.left += taking.granted
        lease.slot = taking.slot

    def _refuse(self, lease: _Lease, taking: _Taking, amount: float) -> GatewayError:
        wait_s = taking.room_at_s - taking.clock_s
        error = _refusal(lease, wait_s)
        if lease.limit.measure is not Measure.PARALLEL:
            lease.refusal, lease.refused_amount = error, amount
            lease.refused_until_s = taking.clock_s + min(wait_s, _REFUSE_UNASKED_S)
        return error

    async def _look(self) -> None:
        """While there are leases: what is owed is told, what nobody uses is given back."""
        while self._leases:
            await asyncio.sleep(_LOOK_EVERY_S)
            for bucket, lease in list(self._leases.items()):
                is_idle = time.monotonic() - lease.touched_s > _IDLE_S
                if lease.left < 0 or lease.left > lease.ahead or is_idle:
                    self._return(lease)
                if is_idle and not lease.num_held and not lease.asking.locked():
                    del self._leases[bucket]

    def _return(self, lease: _Lease) -> None:
        if lease.limit.measure is Measure.PARALLEL:
            if time.monotonic() - lease.told_s > _REFRESH_EVERY_S:
                self.tell(lease)
        elif lease.left and not lease.asking.locked():
            self._store.change_soon(lease.limit.bucket, self._giving_back(lease))
            lease.left = 0.0

    def _saying(self, lease: _Lease) -> Callable[[Entries], Entries]:
        clock_s, num_held = time.time(), lease.num_held
        slot = lease.limit.slot(clock_s, self._process)
        return lambda entries: added(_without(entries, slot.label), slot, num_held, clock_s)

    def _giving_back(self, lease: _Lease) -> Callable[[Entries], Entries]:
        """What is owed counts from now on; what is left made no use of the slot that it was taken in."""
        clock_s, left = time.time(), lease.left
        slot = lease.slot if lease.slot and left > 0 else lease.limit.slot(clock_s, self._process)
        return lambda entries: added(entries, slot, -left, clock_s)


def _without(entries: Entries, label: str) -> Entries:
    return {name: entry for name, entry in entries.items() if name != label}


def _refusal(lease: _Lease, wait_s: float) -> GatewayError:
    limit, retry_after_s = lease.limit, max(1, math.ceil(wait_s))
    if limit.is_budget:
        return InsufficientQuota(limit.in_words, retry_after_s=retry_after_s)
    kind = Measure.TOKENS if limit.measure is Measure.TOKENS else Measure.REQUESTS
    headers = _headers([lease])
    return RateLimitExceeded(limit.in_words, type=kind.value, retry_after_s=retry_after_s, headers=headers)


def _headers(leases: Iterable[_Lease]) -> dict[str, str]:
    tightest: dict[Measure, _Lease] = {}
    for lease in leases:
        if lease.limit.span is Span.MINUTE:
            measure = lease.limit.measure
            tightest[measure] = min(tightest.get(measure, lease), lease, key=_remaining)
    headers = {}
    for measure, lease in tightest.items():
        headers[f"x-ratelimit-limit-{measure}"] = f"{lease.limit.amount:.0f}"
        headers[f"x-ratelimit-remaining-{measure}"] = f"{_remaining(lease):.0f}"
        headers[f"x-ratelimit-reset-{measure}"] = f"{max(0.0, lease.resets_at_s - time.time()):.3f}s"
    return headers


def _budget_warning(leases: Iterable[_Lease]) -> dict[str, str]:
    """`key; tokens a day; used=83%`, one for each such budget."""
    told = []
    for lease in leases:
        limit, percent = lease.limit, 100 * (1 - _remaining(lease) / lease.limit.amount)
        if limit.is_budget and percent >= WARNING_STEPS[0]:
            told.append(f"{limit.subject}; {limit.measure} a {limit.span}; used={percent:.0f}%")
    return {"X-Flotilla-Budget-Warning": ", ".join(told)} if told else {}


def _remaining(lease: _Lease) -> float:
    return max(0.0, lease.free + lease.left)
