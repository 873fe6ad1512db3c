"""Replicas in trouble are left out for a while, and let in again with care. Times are seconds on a clock."""

import pytest

from fleet.models import BalancingPolicy
from gateway.balancer import Balancer, Wanted
from gateway.breaker import FAILURES_TO_OPEN, Breaker, BreakerState
from tests.gateway.replicas import make_hosted, make_pool, make_replica

REPLICA = make_replica("a")
CHAT = Wanted(capability="chat")


@pytest.fixture
def breaker() -> Breaker:
    return Breaker()


def fail(breaker: Breaker, clock_s: float, *, times: int = 1, replica=REPLICA, **how) -> None:
    for _ in range(times):
        breaker.failed(replica, clock_s, **({"is_unreachable": False} | how))


def test_a_replica_that_cannot_be_reached_is_left_out_at_once(breaker):
    fail(breaker, 100, is_unreachable=True)
    assert not breaker.allows(REPLICA, 100.5)
    assert breaker.allows(REPLICA, 101.5)


def test_one_that_answers_badly_is_left_out_after_three_failures_in_a_row(breaker):
    fail(breaker, 100, times=FAILURES_TO_OPEN - 1)
    assert breaker.allows(REPLICA, 100)
    fail(breaker, 100)
    assert not breaker.allows(REPLICA, 100)


def test_a_good_answer_in_between_starts_the_count_anew(breaker):
    fail(breaker, 100, times=FAILURES_TO_OPEN - 1)
    breaker.succeeded(REPLICA)
    fail(breaker, 100, times=FAILURES_TO_OPEN - 1)
    assert breaker.allows(REPLICA, 100)


def test_each_failed_trial_makes_the_pause_twice_as_long(breaker):
    for clock_s in (100, 101, 103):
        fail(breaker, clock_s, is_unreachable=True)
    assert not breaker.allows(REPLICA, 106.9)
    assert breaker.allows(REPLICA, 107)


def test_requests_that_fail_together_count_as_one_trial(breaker):
    fail(breaker, 100, times=20, is_unreachable=True)
    assert breaker.allows(REPLICA, 101)


def test_after_the_pause_one_request_at_a_time_is_on_trial(breaker):
    fail(breaker, 100, is_unreachable=True)
    assert breaker.begin(REPLICA, 101)
    assert not breaker.allows(REPLICA, 101)
    assert not breaker.begin(REPLICA, 101)


def test_a_trial_that_ended_without_a_verdict_lets_the_next_one_try(breaker):
    fail(breaker, 100, is_unreachable=True)
    breaker.begin(REPLICA, 101)
    breaker.end_trial(REPLICA)
    assert breaker.allows(REPLICA, 101)


def test_a_trial_that_never_ends_does_not_lock_everybody_out(breaker):
    fail(breaker, 100, is_unreachable=True)
    breaker.begin(REPLICA, 101)
    assert breaker.allows(REPLICA, 132)


@pytest.mark.parametrize("word", ["succeeded", "connected"])
def test_a_trial_that_goes_well_ends_the_outage(breaker, word):
    fail(breaker, 100, is_unreachable=True)
    breaker.begin(REPLICA, 101)
    getattr(breaker, word)(REPLICA)
    assert breaker.state(REPLICA, 101) is BreakerState.CLOSED


def test_to_be_reached_is_not_to_be_well(breaker):
    fail(breaker, 100, times=FAILURES_TO_OPEN)
    breaker.connected(REPLICA)
    assert breaker.state(REPLICA, 100) is BreakerState.OPEN


def test_a_replica_that_has_moved_starts_anew(breaker):
    fail(breaker, 100, is_unreachable=True)
    assert breaker.allows(make_replica("a", url="http://127.0.0.1:2"), 100)


def test_replicas_that_are_gone_are_forgotten(breaker):
    fail(breaker, 100, is_unreachable=True)
    fail(breaker, 1000, replica=make_replica("b"))
    assert list(breaker.troubles) == ["b"]


def test_providers_are_not_probed_since_they_have_no_page_for_it_and_a_request_finds_out(breaker):
    cloud = make_hosted("cloud")
    for replica in (REPLICA, cloud):
        fail(breaker, 100, replica=replica, is_unreachable=True)
    assert [trouble.replica for trouble in breaker.open_ones(100)] == [REPLICA]
    assert breaker.allows(cloud, 101)


def test_one_that_fails_is_still_asked_for_want_of_a_better():
    balancer, pool = Balancer(), make_pool(make_replica("a"), make_replica("b"), policy=BalancingPolicy.ROUND_ROBIN)
    for replica in pool.replicas:
        fail(balancer.breaker, 10**9, times=FAILURES_TO_OPEN, replica=replica)
    assert balancer.pick(pool, CHAT)


def test_one_that_cannot_be_reached_is_not():
    balancer, pool = Balancer(), make_pool(REPLICA)
    fail(balancer.breaker, 10**9, is_unreachable=True)
    assert balancer.pick(pool, CHAT) is None
