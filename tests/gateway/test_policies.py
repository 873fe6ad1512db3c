"""Which of a model's replicas is asked."""

from collections import Counter

import pytest

from gateway.policies import LeastLoad, PrefixAffinity, RoundRobin, SessionAffinity, Situation, Weighted
from tests.gateway.replicas import make_crowd, make_pool, make_replica


def situation(**changes) -> Situation:
    values = {
        "fits": lambda replica: True,
        "load": lambda replica: replica.num_running / replica.max_concurrency,
        "speed": lambda replica: replica.speed,
        "mean_load": 0.0,
        "session": "",
        "beginning": "",
    }
    return Situation(**(values | changes))


def homes(policy, pool, field: str, num: int = 300) -> dict[str, str]:
    """Where each of many sessions, or beginnings, goes."""
    return {
        key: policy.choose(pool, situation(**{field: key})).replica_id
        for key in (f"key {number}" for number in range(num))
    }


def test_the_one_with_the_smallest_share_taken_is_asked():
    pool = make_pool(make_replica("a", running=3, room=4), make_replica("b", running=5, room=16))
    assert LeastLoad().choose(pool, situation()).replica_id == "b"


@pytest.mark.parametrize(("taken_of_fast", "expected"), [(0, "fast"), (1, "fast"), (3, "slow")])
def test_a_place_on_a_fast_one_counts_for_less(taken_of_fast, expected):
    fast = make_replica("fast", running=taken_of_fast, room=8, speed=3)
    pool = make_pool(make_replica("slow", running=0, room=8, speed=1), fast)
    assert LeastLoad().choose(pool, situation()).replica_id == expected


def test_one_whose_speed_is_not_known_counts_as_average():
    fast = make_replica("fast", running=7, room=8, speed=3)
    pool = make_pool(make_replica("slow", room=8, speed=1), make_replica("new", room=8), fast)
    assert LeastLoad().choose(pool, situation()).replica_id == "new"


def test_equals_are_asked_by_chance_rather_than_the_first_always():
    pool = make_pool(make_replica("a"), make_replica("b"))
    assert {LeastLoad().choose(pool, situation()).replica_id for _ in range(200)} == {"a", "b"}


def test_among_many_the_busy_are_hardly_ever_asked():
    pool = make_pool(*make_crowd(9, running=2), *(make_replica(f"idle {number}") for number in range(9)))
    picks = Counter(LeastLoad().choose(pool, situation()).num_running for _ in range(500))
    assert picks[2] < 80


def test_the_only_one_of_many_that_fits_is_found():
    only = situation(fits=lambda replica: replica.replica_id == "r77")
    assert LeastLoad().choose(make_pool(*make_crowd(200)), only).replica_id == "r77"


def test_where_only_a_fifth_of_a_thousand_have_room_few_are_looked_at():
    looked_at: list[str] = []

    def has_room(replica) -> bool:
        looked_at.append(replica.replica_id)
        return replica.num_running == 0

    pool = make_pool(*make_crowd(800, running=1), *(make_replica(f"idle {number}") for number in range(200)))
    for _ in range(200):
        assert LeastLoad().choose(pool, situation(fits=has_room)).num_running == 0
    # About 20 each time, and all of them when 24 draws find none: one time in 200.
    assert len(looked_at) < 100 * 200


def test_in_turn_means_everybody_as_often_and_goes_on_through_a_new_snapshot():
    policy, crowd = RoundRobin(), make_crowd(5)
    picks = Counter(policy.choose(make_pool(*crowd), situation()).replica_id for _ in range(20))
    assert set(picks.values()) == {4}


def test_the_lottery_is_won_in_proportion_to_speed():
    policy, pool = Weighted(), make_pool(make_replica("slow", speed=1), make_replica("fast", speed=3))
    picks = Counter(policy.choose(pool, situation()).replica_id for _ in range(2000))
    assert 0.68 < picks["fast"] / 2000 < 0.82


def test_in_the_lottery_an_unknown_speed_counts_as_average():
    policy, pool = Weighted(), make_pool(make_replica("known", speed=7), make_replica("new"))
    picks = Counter(policy.choose(pool, situation()).replica_id for _ in range(2000))
    assert 0.42 < picks["new"] / 2000 < 0.58


@pytest.mark.parametrize(("policy", "field"), [(SessionAffinity, "session"), (PrefixAffinity, "beginning")])
def test_every_process_sends_the_same_key_to_the_same_replica(policy, field):
    pool = make_pool(*make_crowd(10))
    assert homes(policy(), pool, field) == homes(policy(), pool, field)


@pytest.mark.parametrize("num", [2, 10, 100])
def test_keys_are_spread_over_all_replicas(num):
    counts = Counter(homes(SessionAffinity(), make_pool(*make_crowd(num)), "session", num=100 * num).values())
    assert len(counts) == num
    assert max(counts.values()) < 2 * 100


@pytest.mark.parametrize("num", [10, 100])
def test_when_a_replica_goes_hardly_more_than_its_own_keys_move(num):
    policy, crowd = SessionAffinity(), make_crowd(num)
    before = homes(policy, make_pool(*crowd), "session", num=50 * num)
    after = homes(policy, make_pool(*crowd[:-1]), "session", num=50 * num)
    assert sum(before[key] != after[key] for key in before) < 4 * 50


def test_a_session_stays_however_busy_its_replica_is():
    policy, pool = SessionAffinity(), make_pool(*make_crowd(10))
    home = policy.choose(pool, situation(session="s")).replica_id
    busy = situation(session="s", load=lambda replica: 5.0 if replica.replica_id == home else 0.0)
    assert policy.choose(pool, busy).replica_id == home


@pytest.mark.parametrize(("running", "stays"), [(4, True), (5, False)])
def test_a_conversation_leaves_a_replica_that_is_a_quarter_busier_than_the_mean(running, stays):
    policy, pool = PrefixAffinity(), make_pool(*make_crowd(10))
    home = policy.choose(pool, situation(beginning="b")).replica_id
    busy = situation(
        beginning="b", mean_load=0.5, load=lambda replica: running / 8 if replica.replica_id == home else 0.0
    )
    assert (policy.choose(pool, busy).replica_id == home) is stays


def test_a_conversation_that_cannot_stay_always_goes_to_the_same_second_one():
    policy, pool = PrefixAffinity(), make_pool(*make_crowd(50))
    home = policy.choose(pool, situation(beginning="b")).replica_id
    away = situation(beginning="b", fits=lambda replica: replica.replica_id != home)
    assert len({policy.choose(pool, away).replica_id for _ in range(20)}) == 1
