"""Requests are spread as the administrator chose."""

import pytest

from fleet.models import BalancingPolicy, LanguageModel
from gateway import runtime
from tests.gateway.conftest import HELLO, add_replica, post
from tests.gateway.fake_replica import FakeReplica, answer

GOOD = {"model": "fake-1", "messages": HELLO}


@pytest.fixture
def fakes(gateway, fake):
    others = [FakeReplica() for _ in range(3)]
    for other in others:
        add_replica(other.url)
    yield [fake, *others]
    for other in others:
        other.close()


def choose(policy: BalancingPolicy, gateway) -> None:
    LanguageModel.objects.update(balancing_policy=policy)
    gateway.refresh()


def test_each_in_turn(gateway, key, fakes):
    choose(BalancingPolicy.ROUND_ROBIN, gateway)
    for _ in range(8):
        post(gateway, key, "/chat/completions", GOOD)
    assert [len(fake.bodies) for fake in fakes] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("body", "headers"),
    [({"prompt_cache_key": "s"}, {}), ({"user": "s"}, {}), ({}, {"X-Session-ID": "s"}), ({}, {})],
    ids=["prompt_cache_key", "user", "header", "the caller itself"],
)
def test_a_session_stays_with_one_replica(gateway, key, fakes, body, headers):
    choose(BalancingPolicy.SESSION_AFFINITY, gateway)
    for _ in range(6):
        assert post(gateway, key, "/chat/completions", GOOD | body, **headers).status_code == 200
    assert sorted(len(fake.bodies) for fake in fakes) == [0, 0, 0, 6]


def test_sessions_spread(gateway, client, fakes):
    choose(BalancingPolicy.SESSION_AFFINITY, gateway)
    # Ids are drawn by chance: of 16 sessions one of four replicas gets none in one case of 25, of 60 in one of 10^7.
    for number in range(60):
        client.chat.completions.create(**GOOD, user=str(number))
    assert all(fake.bodies for fake in fakes)


def test_the_turns_of_a_conversation_return_to_one_replica(gateway, key, fakes):
    choose(BalancingPolicy.PREFIX_AFFINITY, gateway)
    later = [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Go on."}]
    for num_later in range(3):
        post(gateway, key, "/chat/completions", GOOD | {"messages": [*HELLO, *later[:num_later]]})
    assert sorted(len(fake.bodies) for fake in fakes) == [0, 0, 0, 3]


def test_what_a_worker_says_of_its_load_counts_at_once(gateway, key, fake, replica):
    async def crowded(*asked):
        response = await answer(*asked)
        response.headers.update({"X-Flotilla-Running": "5", "X-Flotilla-Waiting": "3"})
        return response

    fake.behave = crowded
    post(gateway, key, "/chat/completions", GOOD)
    (pool,) = runtime.current().poller.latest.pools.values()
    assert runtime.current().balancer.load(pool.replicas[0]) == 7 / pool.replicas[0].max_concurrency
