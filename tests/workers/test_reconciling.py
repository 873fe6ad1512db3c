"""What the server wants against what is loaded."""

from protocol.control import DesiredReplica
from workers.reconciler import Load, Unload, plan


def replica(replica_id: str) -> DesiredReplica:
    return DesiredReplica(replica_id=replica_id, model="echo", engine="echo", source="")


def test_what_is_wanted_and_missing_is_loaded():
    assert plan({"a": replica("a")}, []) == [Load(replica=replica("a"))]


def test_what_is_loaded_and_unwanted_is_unloaded():
    assert plan({}, ["a"]) == [Unload(replica_id="a")]


def test_memory_is_freed_before_it_is_needed():
    assert [type(step) for step in plan({"b": replica("b")}, ["a"])] == [Unload, Load]


def test_a_fleet_at_rest_needs_nothing():
    assert plan({"a": replica("a")}, ["a"]) == []
