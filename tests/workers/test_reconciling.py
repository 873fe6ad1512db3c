"""What the server wants against what is loaded."""

import asyncio

from protocol.control import DesiredReplica, ReplicaPhase
from tests.workers.conftest import wait_for
from workers.programs import Programs
from workers.reconciler import Load, Reconciler, Unload, plan


def replica(replica_id: str) -> DesiredReplica:
    return DesiredReplica(replica_id=replica_id, model="echo", engine="echo", source="")


def test_what_is_wanted_and_missing_is_loaded():
    assert plan({"a": replica("a")}, []) == [Load(replica=replica("a"))]


def test_what_is_loaded_and_unwanted_is_unloaded():
    assert plan({}, ["a"]) == [Unload(replica_id="a")]


async def test_a_load_does_not_wait_for_a_drain(tmp_path_factory):
    reconciler = Reconciler(
        tmp_path_factory.mktemp("r"), unload_timeout_s=60, on_change=lambda: None, programs=Programs()
    )
    working = asyncio.create_task(reconciler.run())
    reconciler.want([replica("old")])
    await wait_for(lambda: "old" in reconciler.engines and reconciler.engines["old"].is_open)
    with reconciler.engines["old"].occupancy.in_flight():
        reconciler.want([replica("new")])
        await wait_for(lambda: "new" in reconciler.engines and reconciler.engines["new"].is_open)
        assert reconciler.engines["old"].phase is ReplicaPhase.DRAINING
    await wait_for(lambda: "old" not in reconciler.engines)
    await reconciler.unload_all(drain_timeout_s=0)
    working.cancel()


def test_memory_is_freed_before_it_is_needed():
    assert [type(step) for step in plan({"b": replica("b")}, ["a"])] == [Unload, Load]


def test_a_fleet_at_rest_needs_nothing():
    assert plan({"a": replica("a")}, ["a"]) == []
