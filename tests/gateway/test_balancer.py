"""What a process knows of its replicas' load."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from fleet.models import BalancingPolicy
from gateway.balancer import Balancer, Wanted
from protocol.control import ReplicaPhase
from tests.gateway.replicas import make_pool, make_replica

CHAT = Wanted(capability="chat")


def take(balancer: Balancer, replica, num: int) -> None:
    for _ in range(num):
        balancer.take(replica)


def test_our_own_requests_count_before_the_worker_has_told_of_them():
    balancer, pool = Balancer(), make_pool(make_replica("a"), make_replica("b"))
    take(balancer, pool.replicas[0], 2)
    assert balancer.pick(pool, CHAT).replica_id == "b"


def test_requests_that_ended_count_no_more():
    balancer, replica = Balancer(), make_replica("a")
    balancer.take(replica)
    balancer.give_back(replica)
    assert (balancer.load(replica), balancer.in_flight) == (0, {})


def test_what_came_with_an_answer_tells_others_requests_from_ours():
    balancer, replica = Balancer(), make_replica("a", room=4)
    take(balancer, replica, 2)
    balancer.heard(replica, 3)
    balancer.take(replica)
    assert balancer.load(replica) == 1.0


def test_requests_of_ours_that_ended_since_the_heartbeat_hold_no_place():
    balancer, replica = Balancer(), make_replica("a", running=3, room=4, observed_at=now() - timedelta(seconds=4))
    take(balancer, replica, 2)
    balancer.give_back(replica)
    balancer.give_back(replica)
    assert balancer.load(replica) == 1 / 4


def test_a_later_heartbeat_overrules_what_came_with_an_answer():
    balancer, replica = Balancer(), make_replica("a")
    balancer.heard(replica, 8)
    assert balancer.load(make_replica("a", observed_at=now() + timedelta(seconds=1))) == 0


@pytest.mark.parametrize("policy", list(BalancingPolicy))
def test_no_policy_asks_a_replica_that_cannot_answer(policy):
    unable = frozenset({"embeddings"})
    replicas = [make_replica("good"), *(make_replica(f"bad {number}", capabilities=unable) for number in range(20))]
    pool, balancer = make_pool(*replicas, policy=policy), Balancer()
    assert {balancer.pick(pool, CHAT).replica_id for _ in range(50)} == {"good"}
    assert balancer.pick(pool, CHAT, tried={"good"}) is None


@pytest.mark.parametrize("policy", list(BalancingPolicy))
def test_no_policy_asks_where_there_is_nobody(policy):
    assert Balancer().pick(make_pool(policy=policy), CHAT) is None


def test_the_lottery_goes_by_the_speed_that_was_measured():
    balancer = Balancer()
    pool = make_pool(make_replica("fast"), make_replica("slow"), policy=BalancingPolicy.WEIGHTED)
    for replica, elapsed_s in zip(pool.replicas, (1, 9), strict=True):
        balancer.measured(replica, num_tokens=100, elapsed_s=elapsed_s)
    picks = [balancer.pick(pool, CHAT).replica_id for _ in range(1000)]
    assert 820 < picks.count("fast") < 960


def test_a_speed_that_was_given_overrules_the_measured_one():
    balancer, replica = Balancer(), make_replica("a", speed=2.0)
    balancer.measured(replica, num_tokens=100, elapsed_s=1)
    assert balancer.speed(replica) == 2.0


def test_a_policy_chosen_anew_is_in_force_with_the_next_snapshot():
    balancer, replicas = Balancer(), [make_replica("a", running=5), make_replica("b")]
    assert balancer.pick(make_pool(*replicas), CHAT).replica_id == "b"
    in_turn = make_pool(*replicas, policy=BalancingPolicy.ROUND_ROBIN)
    assert [balancer.pick(in_turn, CHAT).replica_id for _ in range(4)] == ["a", "b", "a", "b"]


@pytest.mark.parametrize("policy", list(BalancingPolicy))
def test_who_sleeps_is_asked_only_when_nobody_awake_has_room(policy):
    awake, asleep = make_replica("a", room=1), make_replica("b", phase=ReplicaPhase.ASLEEP)
    pool, balancer = make_pool(awake, asleep, policy=policy), Balancer()
    assert {balancer.pick(pool, CHAT).replica_id for _ in range(20)} == {"a"}
    balancer.take(awake)
    assert balancer.pick(pool, CHAT) == asleep


@pytest.mark.parametrize("policy", list(BalancingPolicy))
def test_nobody_is_woken_beside_one_that_wakes_already(policy):
    pool = make_pool(*(make_replica(name, room=2, phase=ReplicaPhase.ASLEEP) for name in "abcd"), policy=policy)
    balancer = Balancer()
    woken = balancer.pick(pool, CHAT)
    balancer.take(woken)
    assert {balancer.pick(pool, CHAT) for _ in range(20)} == {woken}
    balancer.take(woken)
    assert balancer.pick(pool, CHAT) != woken


def test_one_that_another_gateway_has_woken_is_asked_rather_than_one_that_sleeps():
    asleep, waking = make_replica("a", phase=ReplicaPhase.ASLEEP), make_replica("b", phase=ReplicaPhase.WAKING)
    assert {Balancer().pick(make_pool(asleep, waking), CHAT) for _ in range(20)} == {waking}
