"""When all replicas are full, requests wait in fair turn, within bounds, and leave nothing behind."""

from collections import Counter
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils.timezone import now

from accounts.models import Team
from fleet.models import LanguageModel, Replica
from gateway import runtime
from gateway.models import UsageRecord, UsageState
from tests.gateway.conftest import add_replica, give_places, post, wait_until
from tests.gateway.crowd import BODY, Crowd
from tests.gateway.fake_replica import FakeReplica, answer, linger, refuse


@pytest.fixture
def crowd(gateway):
    """With them, the model's only replica answers one request at a time, and only when it is told to."""
    give_places(1)
    gateway.refresh()
    with Crowd(gateway) as crowd:
        yield crowd


@pytest.fixture
def slow(fake):
    fake.behave = linger
    return fake


def num_waiting() -> int:
    return runtime.current().admission.num_waiting


def limit(gateway, **fields) -> None:
    LanguageModel.objects.update(**fields)
    gateway.refresh()


def settled(num: int) -> list[UsageRecord]:
    """The records, once there are so many."""
    runtime.current().journal.write_up()
    wait_until(lambda: UsageRecord.objects.count() >= num)
    return list(UsageRecord.objects.order_by("pk"))


def test_what_comes_beyond_a_replicas_places_waits_and_is_answered(crowd, key, slow):
    asked = [crowd.ask(key) for _ in range(4)]
    wait_until(lambda: num_waiting() == 3)
    slow.release(4)
    assert [one.heard().status for one in asked] == [200] * 4
    assert slow.most_open == 1


def test_the_record_says_how_long_a_request_waited(crowd, key, slow):
    asked = [crowd.ask(key), crowd.ask(key)]
    wait_until(lambda: num_waiting() == 1)
    slow.release(2)
    [one.heard() for one in asked]
    first, second = sorted(record.queue_ms for record in settled(2))
    assert first == 0 < second


def test_a_models_own_limit_holds_over_all_its_replicas(gateway, crowd, key, slow):
    give_places(8)
    limit(gateway, max_concurrency=2)
    for _ in range(5):
        crowd.ask(key)
    wait_until(lambda: (num_waiting(), slow.num_open) == (3, 2))


def served(crowd, slow, num: int, **asking: tuple[str, int]) -> Counter[str]:
    """How many of each caller's requests are among the first so many that are answered, when all of them wait."""
    asked = {name: [crowd.ask(key) for _ in range(num_asked)] for name, (key, num_asked) in asking.items()}
    wait_until(lambda: num_waiting() + slow.num_open == sum(map(len, asked.values())))
    slow.release(num)
    wait_until(lambda: sum(one.is_answered for of_one in asked.values() for one in of_one) == num)
    return Counter({name: sum(one.is_answered for one in of_one) for name, of_one in asked.items()})


def test_ten_times_the_requests_get_no_more_service(crowd, key, other_key, slow):
    turns = served(crowd, slow, 40, ada=(key, 300), grace=(other_key, 30))
    assert abs(turns["ada"] - turns["grace"]) <= 2


def test_a_teams_weight_gives_its_keys_more_turns(gateway, crowd, key, other_key, slow):
    team = Team.objects.create(name="Night shift", weight=3)
    get_user_model().objects.filter(username="grace").update(team=team)
    gateway.refresh()
    turns = served(crowd, slow, 40, ada=(key, 40), grace=(other_key, 40))
    assert abs(turns["grace"] - 3 * turns["ada"]) <= 6


def test_the_queue_is_bounded_and_whom_it_does_not_take_is_told_when_to_come_back(gateway, crowd, key, slow):
    limit(gateway, max_queue_length=2)
    for _ in range(3):
        crowd.ask(key)
    wait_until(lambda: num_waiting() == 2)
    refused = post(gateway, key, "/chat/completions", BODY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
    assert int(refused.headers["Retry-After"]) >= 1


def test_a_full_queue_makes_room_for_those_who_have_less_in_it(gateway, crowd, key, other_key, slow):
    limit(gateway, max_queue_length=4)
    greedy = [crowd.ask(key) for _ in range(5)]
    wait_until(lambda: num_waiting() == 4)
    modest = crowd.ask(other_key)
    wait_until(lambda: any(one.is_answered for one in greedy))
    slow.release(5)
    assert modest.heard().status == 200
    assert sorted(one.heard().status for one in greedy) == [200] * 4 + [429]


def test_a_wait_is_bounded_in_time(gateway, crowd, key, slow):
    limit(gateway, max_queue_wait_s=1)
    crowd.ask(key)
    wait_until(lambda: slow.num_open)
    refused = crowd.ask(key).heard()
    assert (refused.status, int(refused.headers["Retry-After"]) >= 1) == (429, True)
    assert '"queue_timeout"' in refused.text


def test_what_waits_in_the_whole_process_is_bounded_too(gateway, crowd, key, slow, settings):
    settings.QUEUE_MAX_BYTES = 10
    crowd.ask(key)
    wait_until(lambda: slow.num_open)
    assert crowd.ask(key).heard().status == 429


def test_who_hangs_up_in_the_queue_leaves_one_record_and_nothing_else(crowd, key, slow):
    first = crowd.ask(key)
    wait_until(lambda: slow.num_open)
    gone, last = crowd.ask(key), crowd.ask(key)
    wait_until(lambda: num_waiting() == 2)
    gone.hang_up()
    wait_until(lambda: num_waiting() == 1)
    slow.release(2)
    assert {one.heard().status for one in (first, last)} == {200}
    assert [record.state for record in settled(3)].count(UsageState.CUT_BY_CLIENT) == 1
    assert len(slow.bodies) == 2
    assert not runtime.current().balancer.in_flight


def test_a_worker_without_room_is_asked_again_and_nobody_hears_of_it(gateway, key, fake):
    async def full_at_first(*asked):
        return await (refuse(503) if len(fake.bodies) == 1 else answer)(*asked)

    fake.behave = full_at_first
    assert post(gateway, key, "/chat/completions", BODY).status_code == 200
    assert len(fake.bodies) == 2


def test_while_a_model_loads_its_requests_wait(gateway, crowd, key, replica):
    Replica.objects.filter(pk=replica.pk).update(phase="loading")
    gateway.refresh()
    asked = crowd.ask(key)
    wait_until(lambda: num_waiting() == 1)
    Replica.objects.filter(pk=replica.pk).update(phase="ready")
    assert asked.heard().status == 200


def test_while_the_only_replica_is_replaced_requests_wait(gateway, crowd, key, replica, settings):
    settings.RETURN_WITHIN = timedelta(seconds=60)
    Replica.objects.filter(pk=replica.pk).update(retired_at=now())
    gateway.refresh()
    asked = crowd.ask(key)
    wait_until(lambda: num_waiting() == 1)
    fresh = FakeReplica()
    add_replica(fresh.url)
    assert asked.heard().status == 200
    assert len(fresh.bodies) == 1
    fresh.close()


def test_nobody_waits_for_a_model_that_nothing_is_known_to_bring_back(gateway, key, replica):
    Replica.objects.filter(pk=replica.pk).update(phase="failed")
    runtime.current().poller.latest.ready_at_s.clear()
    gateway.refresh()
    refused = post(gateway, key, "/chat/completions", BODY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_replica_ready")


def test_a_new_replica_takes_those_who_wait(gateway, crowd, key, slow):
    asked = [crowd.ask(key), crowd.ask(key)]
    wait_until(lambda: num_waiting() == 1)
    second = FakeReplica()
    add_replica(second.url)
    wait_until(lambda: any(one.is_answered for one in asked))
    slow.release()
    assert [one.heard().status for one in asked] == [200, 200]
    second.close()


def test_who_still_waits_when_the_process_ends_is_told_to_come_back(gateway, crowd, key, slow):
    asked = [crowd.ask(key) for _ in range(3)]
    wait_until(lambda: num_waiting() == 2)
    gateway.close()
    refused = [one.heard() for one in asked]
    assert [one.status for one in refused] == [503] * 3
    assert all('"server_stopping"' in one.text and int(one.headers["Retry-After"]) for one in refused)


def test_a_stream_that_waits_when_the_process_ends_hears_of_it_as_an_event(gateway, crowd, key, slow):
    crowd.ask(key)
    wait_until(lambda: slow.num_open)
    stream = crowd.ask(key, stream=True)
    wait_until(lambda: runtime.current().admission.num_told)
    gateway.close()
    *_, error, done, _end = stream.heard().text.split("\n\n")
    assert '"server_stopping"' in error
    assert done == "data: [DONE]"
