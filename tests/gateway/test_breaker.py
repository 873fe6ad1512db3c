"""Replicas that fail are left out for a while."""

from datetime import timedelta

from gateway.breaker import Breaker
from tests.gateway.replicas import NOON, make_replica

REPLICA = make_replica("a", observed_at=NOON)


def test_a_replica_that_failed_is_left_out_for_a_while():
    breaker = Breaker()
    breaker.failed(REPLICA, 100, NOON)
    assert not breaker.allows(REPLICA, 100.5)
    assert breaker.allows(REPLICA, 101.5)


def test_each_failure_in_a_row_makes_the_pause_longer():
    breaker = Breaker()
    for _ in range(3):
        breaker.failed(REPLICA, 100, NOON)
    assert not breaker.allows(REPLICA, 103.9)
    assert breaker.allows(REPLICA, 104)


def test_a_newer_heartbeat_ends_the_pause():
    breaker = Breaker()
    breaker.failed(REPLICA, 100, NOON)
    assert breaker.allows(make_replica("a", observed_at=NOON + timedelta(seconds=1)), 100)


def test_a_connection_ends_the_outage():
    breaker = Breaker()
    breaker.failed(REPLICA, 100, NOON)
    breaker.connected(REPLICA)
    assert breaker.allows(REPLICA, 100)
