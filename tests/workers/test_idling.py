"""Engines that nobody asks are unloaded by setting, and come back for the next request."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web

from protocol.control import DesiredReplica, ReplicaPhase
from tests.processes import command_of
from tests.workers.conftest import NO_PROGRAMS, SECRET, wait_for
from workers.engine_process import EngineProcess
from workers.reconciler import Reconciler
from workers.server import WorkerServer

SOON_S, LATE_S, NEVER = 0.2, 1000.0, None
GIB = 1 << 30


def echo(replica_id: str, source: str = "", **fields) -> DesiredReplica:
    return DesiredReplica(
        **{"replica_id": replica_id, "model": replica_id, "engine": "echo", "source": source} | fields
    )


class Machine:
    """A daemon's engines and its door, on a machine with as much memory as is said."""

    def __init__(self, reconciler: Reconciler, http: aiohttp.ClientSession, url: str) -> None:
        self.reconciler, self.http, self.url = reconciler, http, url

    def engine(self, replica_id: str) -> EngineProcess:
        return self.reconciler.engines[replica_id]

    async def want(self, *replicas: DesiredReplica) -> None:
        """Until all are ready, if they are new."""
        new = [one.replica_id for one in replicas if one.replica_id not in self.reconciler.engines]
        self.reconciler.want(replicas)
        await wait_for(lambda: self.phases(*new) == {ReplicaPhase.READY} if new else True)

    async def become(self, phase: ReplicaPhase, *replica_ids: str) -> None:
        await wait_for(lambda: self.phases(*replica_ids) == {phase})

    def phases(self, *replica_ids: str) -> set[ReplicaPhase]:
        return {status.phase for status in self.reconciler.statuses() if status.replica_id in replica_ids}

    def chat(self, replica_id: str, text: str = "hello", path: str = "chat/completions", **fields):
        headers = {
            "Authorization": f"Bearer {SECRET}",
            "X-Flotilla-Replica": replica_id,
            "X-Request-ID": "".join(text.split()),
        }
        body = {"model": replica_id, "messages": [{"role": "user", "content": text}]} | fields
        return self.http.post(f"{self.url}/v1/{path}", headers=headers, json=body)

    async def status_of(self, asking) -> int:
        async with asking as answer:
            await answer.read()
            return answer.status


@asynccontextmanager
async def running(folder: Path, free_memory: Callable[[Reconciler], dict[str, int]]) -> AsyncIterator[Machine]:
    reconciler = Reconciler(
        folder,
        unload_timeout_s=60,
        on_change=lambda: None,
        programs=NO_PROGRAMS,
        free_memory=lambda: free_memory(reconciler),
    )
    app = WorkerServer(reconciler.engines, lambda: SECRET).make_app()
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    working = asyncio.create_task(reconciler.run())
    try:
        async with aiohttp.ClientSession() as http:
            yield Machine(reconciler, http, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await reconciler.unload_all(drain_timeout_s=0)
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await runner.cleanup()


def plenty(_reconciler: Reconciler) -> dict[str, int]:
    return {"cpu": 1000 * GIB}


def room_for(num: int) -> Callable[[Reconciler], dict[str, int]]:
    """An accelerator on which each engine that runs takes 6 GiB, and 4 are left beside so many."""

    def free(reconciler: Reconciler) -> dict[str, int]:
        num_up = sum(bool(processes_of(engine)) for engine in reconciler.engines.values())
        return {"cpu": 1000 * GIB, "cuda:0": max(0, (6 * num + 4 - 6 * num_up) * GIB)}

    return free


def processes_of(engine: EngineProcess) -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if str(engine._socket_path) in command_of(one)]


@pytest.fixture
async def machine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    async with running(tmp_path_factory.mktemp("m"), plenty) as machine:
        yield machine


@pytest.fixture
async def small_machine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    async with running(tmp_path_factory.mktemp("m"), room_for(1)) as machine:
        yield machine


async def asleep(machine: Machine, source: str = "", *, sleeps_again: bool = False) -> EngineProcess:
    """An engine that has gone to sleep; once awake, it stays so for long, unless asked to sleep again."""
    machine.reconciler.want([echo("a", source, idle_unload_s=SOON_S)])
    await machine.become(ReplicaPhase.ASLEEP, "a")
    # Also until it is known what it has left: what starts earlier is taken for its own.
    await wait_for(lambda: not machine.reconciler._idling._deciding.locked())
    if not sleeps_again:
        await machine.want(echo("a", source, idle_unload_s=LATE_S))
    return machine.engine("a")


async def test_an_engine_that_nobody_asks_ends_and_still_tells_what_it_can(machine):
    engine = await asleep(machine)
    assert not processes_of(engine)
    await engine.refresh_stats()
    status = engine.status()
    assert (status.memory_bytes, status.error, status.num_restarts) == (0, "", 0)
    assert "chat" in status.info.capabilities


async def test_the_next_request_wakes_it_and_is_answered(machine):
    engine = await asleep(machine)
    async with machine.chat("a", "good morning") as answer:
        assert (await answer.json())["choices"][0]["message"]["content"] == "good morning"
    assert processes_of(engine)
    assert engine.status().num_restarts == 0


async def test_many_requests_at_once_wake_it_once_and_all_are_answered(machine):
    engine = await asleep(machine, "load_time=0.5")
    answers = await asyncio.gather(*(machine.status_of(machine.chat("a", f"n{n}", stream=True)) for n in range(6)))
    assert answers == [200] * 6
    assert len(processes_of(engine)) == 1


async def test_it_sleeps_again_when_nobody_asks_any_more(machine):
    await asleep(machine, sleeps_again=True)
    assert await machine.status_of(machine.chat("a")) == 200
    await machine.become(ReplicaPhase.ASLEEP, "a")
    assert await machine.status_of(machine.chat("a")) == 200


async def test_an_engine_that_answers_does_not_sleep(machine):
    source = "delay=0.05,repeat=1000"
    engine = await asleep(machine, source, sleeps_again=True)
    async with machine.chat("a", "one two three", stream=True) as answer:
        await answer.content.readany()
        before = processes_of(engine)
        # Of words that come one after the other, so many take several times as long as it may be idle.
        for _ in range(20):
            await answer.content.readuntil(b"\n\n")
        assert processes_of(engine) == before != []


async def test_without_the_setting_it_never_sleeps_and_with_it_it_does_without_a_restart(machine):
    await machine.want(echo("a", idle_unload_s=NEVER))
    engine = machine.engine("a")
    assert not engine.may_sleep
    await machine.want(echo("a", idle_unload_s=SOON_S))
    await machine.become(ReplicaPhase.ASLEEP, "a")
    assert machine.engine("a") is engine


async def test_it_wakes_when_the_setting_is_taken_away(machine):
    await asleep(machine)
    await machine.want(echo("a", idle_unload_s=NEVER))
    await machine.become(ReplicaPhase.READY, "a")


async def test_while_it_wakes_it_is_not_said_to_load_and_takes_requests(machine):
    engine = await asleep(machine, "load_time=1")
    asking = asyncio.create_task(machine.status_of(machine.chat("a")))
    await machine.become(ReplicaPhase.WAKING, "a")
    assert engine.is_open
    assert "chat" in engine.status().info.capabilities
    assert await asking == 200


async def test_a_wake_that_fails_is_told_at_once_and_the_replica_has_failed(machine):
    engine = await asleep(machine, "load_time=1")
    engine.replica = echo("a", "fail_load=1")
    async with machine.chat("a") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (503, "replica_not_ready")
    assert (engine.phase, engine.status().info) == (ReplicaPhase.FAILED, None)


async def test_a_caller_who_hangs_up_while_it_wakes_is_forgotten(machine):
    engine = await asleep(machine, "load_time=1")
    asking = asyncio.create_task(machine.status_of(machine.chat("a")))
    await machine.become(ReplicaPhase.WAKING, "a")
    asking.cancel()
    await wait_for(lambda: not engine.occupancy.num_in_flight)


async def test_a_request_can_be_cancelled_while_it_waits_for_its_engine(machine):
    engine = await asleep(machine, "load_time=3")
    asking = asyncio.create_task(machine.status_of(machine.chat("a", "r1")))
    await machine.become(ReplicaPhase.WAKING, "a")
    assert await machine.status_of(machine.chat("a", path="requests/r1/cancel")) == 404
    await wait_for(lambda: not engine.occupancy.num_in_flight)
    assert engine.phase is ReplicaPhase.WAKING
    await asyncio.gather(asking, return_exceptions=True)


async def test_one_that_sleeps_is_unloaded_when_it_is_wanted_no_more(machine):
    await asleep(machine)
    await machine.want()
    await wait_for(lambda: not machine.reconciler.engines)


async def test_one_that_wakes_answers_those_who_wait_before_it_is_unloaded(machine):
    await asleep(machine, "load_time=1")
    asking = asyncio.create_task(machine.status_of(machine.chat("a")))
    await machine.become(ReplicaPhase.WAKING, "a")
    await machine.want()
    assert await asking == 200
    await wait_for(lambda: not machine.reconciler.engines)


async def test_health_of_one_that_sleeps_is_good(machine):
    await asleep(machine)
    headers = {"Authorization": f"Bearer {SECRET}", "X-Flotilla-Replica": "a"}
    async with machine.http.get(machine.url + "/health", headers=headers) as answer:
        assert answer.status == 200


# --- Where memory is short


async def two_of_which_one_fits(machine: Machine, **other) -> None:
    """`a` sleeps, then `b` is up."""
    await asleep(machine)
    await machine.want(echo("a", idle_unload_s=LATE_S), echo("b", **({"idle_unload_s": LATE_S} | other)))


async def test_waking_one_puts_another_to_sleep_that_is_idle(small_machine):
    await two_of_which_one_fits(small_machine)
    assert await small_machine.status_of(small_machine.chat("a")) == 200
    assert small_machine.phases("b") == {ReplicaPhase.ASLEEP}
    assert await small_machine.status_of(small_machine.chat("b")) == 200
    assert small_machine.phases("a") == {ReplicaPhase.ASLEEP}


async def test_one_that_may_not_sleep_is_left_alone_and_the_refusal_has_figures(small_machine):
    await two_of_which_one_fits(small_machine, idle_unload_s=NEVER)
    async with small_machine.chat("a") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert "needs 6.00 GB of memory; 4.00 GB are free" in (await answer.json())["error"]["message"]
    status = small_machine.engine("a").status()
    assert (status.phase, small_machine.phases("b")) == (ReplicaPhase.ASLEEP, {ReplicaPhase.READY})
    assert "4.00 GB are free" in status.error


async def test_one_that_is_busy_is_left_alone(small_machine):
    await two_of_which_one_fits(small_machine, source="delay=0.1,repeat=100")
    async with small_machine.chat("b", "one two three", stream=True) as answer:
        await answer.content.readany()
        assert await small_machine.status_of(small_machine.chat("a")) == 503
        assert small_machine.phases("b") == {ReplicaPhase.READY}


async def test_of_two_that_are_idle_the_one_that_was_used_longer_ago_sleeps(tmp_path_factory):
    async with running(tmp_path_factory.mktemp("m"), room_for(2)) as machine:
        await asleep(machine)
        await machine.want(*(echo(name, idle_unload_s=LATE_S) for name in "abc"))
        for name in "ba":
            assert await machine.status_of(machine.chat(name)) == 200
        assert (machine.phases("b"), machine.phases("c")) == ({ReplicaPhase.READY}, {ReplicaPhase.ASLEEP})
