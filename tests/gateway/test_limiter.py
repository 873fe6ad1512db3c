"""Limits that several web processes hold together: two limiters stand for two of them, on one store."""

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.utils.timezone import now

from gateway.allowances import DatabaseStore, MemoryStore, RedisStore
from gateway.errors import InsufficientQuota, RateLimitExceeded
from gateway.limit_store import LimitStore
from gateway.limiter import Limiter
from gateway.limits import Limit, Measure, Span, Subject

POLLER = SimpleNamespace(latest=SimpleNamespace(limits={}))


def limit(measure: Measure, span: Span, amount: float) -> Limit:
    return Limit(subject=Subject.KEY, subject_id=1, measure=measure, span=span, amount=amount)


RATE = limit(Measure.REQUESTS, Span.MINUTE, 400)
TOKENS = limit(Measure.TOKENS, Span.MINUTE, 1000)
BUDGET = limit(Measure.TOKENS, Span.DAY, 1000)
PARALLEL = limit(Measure.PARALLEL, Span.NOW, 3)


class BrokenStore:
    def change(self, bucket, change) -> None:
        raise OSError("away")

    def read(self, buckets) -> None:
        raise OSError("away")


@pytest.fixture(params=["database", *(["redis"] if settings.REDIS_URL else [])])
def store(request, transactional_db):
    return DatabaseStore() if request.param == "database" else RedisStore(settings.REDIS_URL)


class Processes:
    """So many web processes on one store."""

    def __init__(self, store, num: int, seed=lambda limit: 0.0) -> None:
        self.limiters = [Limiter(POLLER, LimitStore(store, seed)) for _ in range(num)]

    async def __aenter__(self) -> list[Limiter]:
        return self.limiters

    async def __aexit__(self, *_: object) -> None:
        for limiter in self.limiters:
            await limiter.stop()


async def num_admitted(limiter: Limiter, one: Limit, num: int, amount: float = 1) -> int:
    admitted = 0
    for _ in range(num):
        try:
            await limiter.reserve([one], {one.measure: amount})
            admitted += 1
        except (RateLimitExceeded, InsufficientQuota):
            await asyncio.sleep(0)
    return admitted


@pytest.mark.parametrize(("one", "amount"), [(RATE, 1), (TOKENS, 7), (BUDGET, 7)], ids=["rate", "tokens", "budget"])
async def test_two_processes_give_out_a_limit_together_and_all_of_it(store, one, amount):
    async with Processes(store, 2) as (here, there):
        given = await asyncio.gather(*(num_admitted(limiter, one, 500, amount) for limiter in (here, there)))
    assert 0.95 * one.amount <= sum(given) * amount <= one.amount


async def test_requests_at_the_same_time_are_counted_over_all_processes(store, time_machine):
    time_machine.move_to(now(), tick=False)
    async with Processes(store, 2) as (here, there):
        running = [await limiter.reserve([PARALLEL], {Measure.PARALLEL: 1}) for limiter in (here, there, here)]
        with pytest.raises(RateLimitExceeded) as refused:
            await there.reserve([PARALLEL], {Measure.PARALLEL: 1})
        running[0].settle({})
        await here._store.balances([PARALLEL])
        await there.reserve([PARALLEL], {Measure.PARALLEL: 1})
    assert (refused.value.status, refused.value.code, refused.value.retry_after_s) == (429, "rate_limit_exceeded", 15)


async def test_a_process_that_died_holds_no_place_for_long(store, time_machine):
    time_machine.move_to(1_800_000_000)
    async with Processes(store, 1) as (survivor,):
        dead = Limiter(POLLER, LimitStore(store, lambda limit: 0.0))
        for _ in range(3):
            await dead.reserve([PARALLEL], {Measure.PARALLEL: 1})
        time_machine.shift(16)
        await survivor.reserve([PARALLEL], {Measure.PARALLEL: 1})
        dead._leases.clear()
        await dead.stop()


async def test_what_was_reserved_and_not_used_goes_back():
    async with Processes(MemoryStore(), 1) as (limiter,):
        for _ in range(5):
            (await limiter.reserve([TOKENS], {Measure.TOKENS: 600})).settle({Measure.TOKENS: 100})
        with pytest.raises(RateLimitExceeded):
            await limiter.reserve([TOKENS], {Measure.TOKENS: 600})
        await limiter.reserve([TOKENS], {Measure.TOKENS: 500})


async def test_what_was_used_beyond_the_reservation_counts_in_all_processes(store):
    async with Processes(store, 1) as (other,):
        async with Processes(store, 1) as (limiter,):
            (await limiter.reserve([BUDGET], {Measure.TOKENS: 1})).settle({Measure.TOKENS: 950})
        assert await num_admitted(other, BUDGET, 100) == 50


async def test_a_limit_that_refuses_takes_nothing_of_the_others():
    async with Processes(MemoryStore(), 1) as (limiter,):
        await limiter.reserve([PARALLEL], {Measure.PARALLEL: 1})
        assert await num_admitted(limiter, BUDGET, 2, 1000) == 1
        for _ in range(5):
            with pytest.raises(InsufficientQuota):
                await limiter.reserve([PARALLEL, BUDGET], {Measure.PARALLEL: 1, Measure.TOKENS: 1})
        await limiter.reserve([PARALLEL], {Measure.PARALLEL: 1})
        await limiter.reserve([PARALLEL], {Measure.PARALLEL: 1})


async def test_a_request_larger_than_the_limit_goes_when_nothing_else_was_used():
    async with Processes(MemoryStore(), 1) as (limiter,):
        await limiter.reserve([TOKENS], {Measure.TOKENS: 5000})
        with pytest.raises(RateLimitExceeded):
            await limiter.reserve([TOKENS], {Measure.TOKENS: 1})


async def test_the_headers_say_what_is_left_and_retry_after_when_there_is_more(time_machine):
    time_machine.move_to(1_800_000_000, tick=False)
    async with Processes(MemoryStore(), 1) as (limiter,):
        headers = (await limiter.reserve([TOKENS], {Measure.TOKENS: 600})).headers()
        time_machine.shift(20)
        with pytest.raises(RateLimitExceeded) as refused:
            await limiter.reserve([TOKENS], {Measure.TOKENS: 600})
        time_machine.shift(refused.value.retry_after_s)
        await limiter.reserve([TOKENS], {Measure.TOKENS: 600})
    assert headers == {
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "400",
        "x-ratelimit-reset-tokens": "60.000s",
    }
    assert (refused.value.retry_after_s, refused.value.headers["x-ratelimit-remaining-tokens"]) == (40, "400")


async def test_a_budget_counts_what_the_records_know_of_its_period():
    async with Processes(MemoryStore(), 1, seed=lambda limit: 990.0) as (limiter,):
        assert await num_admitted(limiter, BUDGET, 100) == 10


async def test_a_client_that_hammers_does_not_keep_the_store_busy(time_machine, monkeypatch):
    time_machine.move_to(now(), tick=False)
    monkeypatch.setattr("gateway.limiter._LOOK_EVERY_S", 3600.0)
    store, changes = MemoryStore(), []
    change = store.change
    store.change = lambda bucket, how: (changes.append(bucket), change(bucket, how))
    async with Processes(store, 1) as (limiter,):
        await num_admitted(limiter, RATE, 400)
        num_before = len(changes)
        assert await num_admitted(limiter, RATE, 400) == 0
        assert (num_before <= 150, len(changes) - num_before) == (True, 1)


async def test_while_the_store_is_away_each_process_holds_the_limit_alone():
    async with Processes(BrokenStore(), 2) as (here, there):
        assert [await num_admitted(limiter, RATE, 420) for limiter in (here, there)] == [400, 400]


async def test_while_the_store_is_away_a_process_still_tells_what_it_knows():
    async with Processes(BrokenStore(), 1) as (limiter,):
        before = await limiter.balances([RATE])
        await num_admitted(limiter, RATE, 3)
        after = await limiter.balances([RATE])
    assert [(one.used, one.limit) for one in (*before, *after)] == [(0, RATE), (3, RATE)]


async def test_a_process_that_ends_gives_back_what_it_had_taken_ahead(store):
    async with Processes(store, 1) as (limiter,):
        await limiter.reserve([RATE], {Measure.REQUESTS: 1})
    async with Processes(store, 1) as (other,):
        assert await num_admitted(other, RATE, 420) == 399


async def test_an_idle_process_gives_it_back_by_itself_and_forgets_the_limit(transactional_db, monkeypatch):
    monkeypatch.setattr("gateway.limiter._LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("gateway.limiter._IDLE_S", 0.0)
    async with AsyncExitStack() as stack:
        (limiter,) = await stack.enter_async_context(Processes(DatabaseStore(), 1))
        (await limiter.reserve([RATE], {Measure.REQUESTS: 1})).settle({Measure.REQUESTS: 1})
        await asyncio.wait_for(limiter._looking, 30)
        (balance,) = await limiter._store.balances([RATE])
    assert balance.used == 1
