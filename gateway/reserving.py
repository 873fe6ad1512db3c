"""What a request may use of its caller's limits at most, as far as that can be told before it runs."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fleet.pricing import Price
from gateway.keyring import Caller
from gateway.limiter import Amounts, Limiter, Reservation
from gateway.limits import Measure
from gateway.snapshot import Snapshot
from gateway.usage import BYTES_PER_TOKEN

USUAL_ANSWER_TOKENS = 256
"""Where the caller sets no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of a request. `max_tokens`: of the answer; None where the caller does not say."""

    model: str
    num_bytes: int
    max_tokens: int | None


async def reserve(limiter: Limiter, snapshot: Snapshot, caller: Caller, size: Size) -> Reservation | None:
    """None for a caller without limits. Raises RateLimitExceeded, InsufficientQuota."""
    limits = limiter.limits_of(caller)
    return await limiter.reserve(limits, at_most(size, snapshot)) if limits else None


@asynccontextmanager
async def holding(limiter: Limiter, snapshot: Snapshot, caller: Caller, size: Size) -> AsyncIterator[None]:
    """Reserved while something is prepared that costs this server more than a refusal; then given back, for the road
    reserves by itself. Raises RateLimitExceeded, InsufficientQuota."""
    reservation = await reserve(limiter, snapshot, caller, size)
    try:
        yield
    finally:
        if reservation:
            reservation.settle({})


def at_most(size: Size, snapshot: Snapshot) -> Amounts:
    """What a request of that size may use of each kind of limit."""
    prompt_tokens = -(-size.num_bytes // BYTES_PER_TOKEN)
    answer_tokens = USUAL_ANSWER_TOKENS if size.max_tokens is None else size.max_tokens
    costs = (price.of(prompt_tokens, answer_tokens) for price in _prices(snapshot, size.model))
    return {
        Measure.REQUESTS: 1,
        Measure.PARALLEL: 1,
        Measure.TOKENS: prompt_tokens + answer_tokens,
        Measure.COST: float(max(costs, default=0)),
    }


def _prices(snapshot: Snapshot, name: str) -> Iterator[Price]:
    """Of everybody who might answer to that name."""
    for model in snapshot.models_behind(name):
        pool = snapshot.pools.get(model)
        yield from {replica.price for replica in pool.replicas if replica.price} if pool else ()
