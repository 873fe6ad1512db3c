"""Which replica is asked."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from fleet.snapshot import RoutableReplica
from gateway.balancer import Breaker, least_loaded

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def replica(name: str, *, running: int = 0, room: int = 8, observed_at: datetime = NOON) -> RoutableReplica:
    return RoutableReplica(
        replica_id=name,
        model="m",
        worker_id=name,
        worker_name=name,
        url="http://127.0.0.1:1",
        host_header="127.0.0.1:1",
        secret="",
        num_running=running,
        num_waiting=0,
        max_concurrency=room,
        context_length=None,
        capabilities=frozenset(),
        observed_at=observed_at,
    )


def chosen(replicas, **in_flight: int) -> str:
    return least_loaded(replicas, Counter(in_flight)).replica_id


def test_the_one_with_the_smallest_share_taken_is_asked():
    assert chosen([replica("a", running=3, room=4), replica("b", running=5, room=16)]) == "b"


def test_our_own_requests_count_before_the_worker_has_told_of_them():
    assert chosen([replica("a"), replica("b")], a=2) == "b"


def test_equals_are_asked_in_turn_rather_than_the_first_always():
    assert {chosen([replica("a"), replica("b")]) for _ in range(200)} == {"a", "b"}


def test_among_many_the_busiest_is_never_asked():
    crowd = [replica(str(number)) for number in range(20)]
    assert "busy" not in {chosen([*crowd, replica("busy", running=8)]) for _ in range(500)}


def test_a_replica_that_failed_is_left_out_for_a_while():
    breaker, one = Breaker(), replica("a")
    breaker.failed(one, 100, NOON)
    assert not breaker.allows(one, 100.5)
    assert breaker.allows(one, 101.5)


def test_each_failure_in_a_row_makes_the_pause_longer():
    breaker, one = Breaker(), replica("a")
    for _ in range(3):
        breaker.failed(one, 100, NOON)
    assert not breaker.allows(one, 103.9)
    assert breaker.allows(one, 104)


def test_a_newer_heartbeat_ends_the_pause():
    breaker = Breaker()
    breaker.failed(replica("a"), 100, NOON)
    assert breaker.allows(replica("a", observed_at=NOON + timedelta(seconds=1)), 100)


def test_a_connection_ends_the_outage():
    breaker, one = Breaker(), replica("a")
    breaker.failed(one, 100, NOON)
    breaker.connected(one)
    assert breaker.allows(one, 100)
