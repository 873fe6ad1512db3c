"""Adapters of an engine that runs: they come, go and fail without a restart."""

from protocol.control import ReplicaPhase
from tests.workers.conftest import wait_for


async def test_adapters_follow_the_list_while_the_engine_runs(start_engine):
    async with start_engine(adapters={"a": "/a"}) as engine:
        await wait_for(lambda: engine.status().adapters == {"a": ""})
        engine.adapters.want({"b": "/b", "c": "missing"})
        await wait_for(lambda: "b" in engine.status().adapters)
        assert engine.status().adapters == {"b": "", "c": "There is no such folder."}
        engine.adapters.want({})
        await wait_for(lambda: not engine.status().adapters)
        assert (engine.phase, engine.status().num_restarts) == (ReplicaPhase.READY, 0)


async def test_an_engine_that_was_started_again_gets_its_adapters_again(start_engine):
    async with start_engine(adapters={"a": "/a"}) as engine:
        await wait_for(lambda: engine.status().adapters)
        engine.kill()
        await wait_for(lambda: engine.phase is ReplicaPhase.FAILED)
        assert not engine.status().adapters
        await wait_for(lambda: engine.status().adapters == {"a": ""})
