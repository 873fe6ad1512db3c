"""An engine lives in a process of its own: watched, restarted, and never left behind."""

import asyncio

import pytest

from protocol.control import ReplicaPhase
from tests.workers.conftest import engine_processes, wait_for


async def until(engine, phase: ReplicaPhase) -> None:
    await wait_for(lambda: engine.phase is phase)


async def test_a_ready_engine_tells_what_it_can(start_engine):
    async with start_engine() as engine:
        await until(engine, ReplicaPhase.READY)
        assert engine.status().info.context_length == 8192


async def test_an_engine_that_cannot_load_says_why(start_engine):
    async with start_engine("nonsense=1") as engine:
        await until(engine, ReplicaPhase.FAILED)
        assert "nonsense" in engine.status().error


async def test_an_engine_that_dies_is_started_again(start_engine):
    async with start_engine() as engine:
        await until(engine, ReplicaPhase.READY)
        engine.kill()
        await until(engine, ReplicaPhase.FAILED)
        assert "SIGKILL" in engine.status().error
        await until(engine, ReplicaPhase.READY)
        assert (engine.status().error, engine.status().num_restarts) == ("", 1)


async def test_an_engine_tells_what_memory_it_holds(start_engine):
    async with start_engine() as engine:
        await until(engine, ReplicaPhase.READY)
        await engine.refresh_stats()
        assert engine.status().memory_bytes > 2**20


async def test_its_load_may_be_asked_for_while_it_is_ended_and_after(start_engine):
    async with start_engine() as engine:
        await until(engine, ReplicaPhase.READY)
        asking = asyncio.create_task(ask_without_pause(engine))
    await engine.refresh_stats()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def ask_without_pause(engine) -> None:
    while True:
        await engine.refresh_stats()
        # There is nothing to wait for at an engine that has ended, and nobody else would have a turn.
        await asyncio.sleep(0)


async def test_no_process_is_left_behind(start_engine):
    async with start_engine() as engine:
        await until(engine, ReplicaPhase.READY)
        processes = engine_processes()
    assert processes
    assert not [process for process in processes if process.is_running()]


async def test_an_engine_that_hangs_is_ready_no_more_until_it_answers(quick_probes, start_engine):
    async with start_engine() as engine:
        await until(engine, ReplicaPhase.READY)
        (process,) = engine_processes()
        process.suspend()
        await until(engine, ReplicaPhase.FAILED)
        assert "does not answer" in engine.status().error
        process.resume()
        await until(engine, ReplicaPhase.READY)
        assert (engine.status().error, engine.status().num_restarts) == ("", 0)


async def test_an_engine_that_hangs_for_good_is_killed_and_started_again(quick_probes, start_engine):
    async with start_engine() as engine:
        await until(engine, ReplicaPhase.READY)
        (process,) = engine_processes()
        process.suspend()
        await wait_for(lambda: engine.status().num_restarts)
        await until(engine, ReplicaPhase.READY)
        assert not process.is_running()
