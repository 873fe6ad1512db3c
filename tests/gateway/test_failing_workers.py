"""Workers die, hang and refuse. The caller hears of it honestly, or not at all when another replica can answer."""

import socket
from datetime import timedelta

import openai
import pytest
from django.utils.timezone import now

from fleet.models import Replica
from gateway import runtime
from gateway.models import CountSource, UsageRecord, UsageState
from tests.gateway.conftest import HELLO, add_replica, post, the_record, wait_until
from tests.gateway.fake_replica import (
    FakeReplica,
    answer,
    begin_with_an_error,
    die_after_one_word,
    end_after_one_word,
    end_after_usage,
    fail_after_one_word,
    hang_up,
    refuse,
    talk_nonsense,
    wait,
)

GOOD = {"model": "fake-1", "messages": HELLO}
STREAM = GOOD | {"stream": True}


@pytest.fixture
def free_port():
    """Nobody listens there. Whoever names it can, and nobody else comes by it."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


@pytest.fixture
def dead_url(free_port):
    return f"http://127.0.0.1:{free_port}"


@pytest.fixture
def second_fake(gateway):
    replica = FakeReplica()
    add_replica(replica.url)
    gateway.refresh()
    yield replica
    replica.close()


def make_dead(replica: Replica, url: str, gateway) -> None:
    replica.worker.address = url
    replica.worker.save()
    gateway.refresh()


def events(text: str) -> list[str]:
    return [part.removeprefix("data: ") for part in text.split("\n\n") if part]


@pytest.mark.parametrize("body", [GOOD, STREAM], ids=["plain", "stream"])
def test_a_dead_worker_is_a_second_try_on_another(gateway, key, replica, dead_url, second_fake, body):
    make_dead(replica, dead_url, gateway)
    answers = [post(gateway, key, "/chat/completions", body).status_code for _ in range(4)]
    assert answers == [200] * 4
    assert len(second_fake.bodies) == 4


@pytest.mark.parametrize(
    "fault",
    [hang_up, refuse(500), refuse(502), refuse(503), begin_with_an_error, talk_nonsense],
    ids=["connection lost", "500", "502", "503", "an error event first", "no JSON"],
)
@pytest.mark.parametrize("body", [GOOD, STREAM], ids=["plain", "stream"])
def test_a_fault_before_the_first_byte_is_a_second_try_on_another(gateway, key, fake, second_fake, body, fault):
    fake.behave = fault
    answers = [post(gateway, key, "/chat/completions", body).status_code for _ in range(4)]
    assert answers == [200] * 4


def test_a_request_that_breaks_every_engine_does_not_go_through_the_whole_fleet(gateway, key, fake, second_fake):
    fakes = [fake, second_fake, FakeReplica(), FakeReplica()]
    for extra in fakes[2:]:
        add_replica(extra.url)
    gateway.refresh()
    for one in fakes:
        one.behave = refuse(500)
    assert post(gateway, key, "/chat/completions", GOOD).status_code == 502
    assert sum(len(one.bodies) for one in fakes) == the_record().num_attempts == 3
    for extra in fakes[2:]:
        extra.close()


def test_where_no_worker_can_be_reached_the_caller_is_told_to_come_back(gateway, key, replica, dead_url):
    make_dead(replica, dead_url, gateway)
    refused = post(gateway, key, "/chat/completions", STREAM)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_replica_ready")
    assert int(refused.headers["Retry-After"]) > 0
    assert the_record().state == UsageState.FAILED


def test_a_replica_that_cannot_be_reached_is_left_out_at_once(gateway, key, replica, dead_url):
    make_dead(replica, dead_url, gateway)
    post(gateway, key, "/chat/completions", GOOD)
    assert list(runtime.current().balancer.breaker.troubles) == [str(replica.pk)]


def test_a_silent_worker_gets_no_traffic(gateway, key, fake, time_machine, settings):
    time_machine.move_to(now() + 2 * settings.SILENT_AFTER)
    gateway.refresh()
    assert post(gateway, key, "/chat/completions", GOOD).status_code == 503
    assert not fake.bodies


def test_while_the_database_is_away_whoever_was_there_goes_on_answering(gateway, key, time_machine, settings):
    runtime.current().poller.stop()
    time_machine.move_to(now() + 10 * settings.SILENT_AFTER)
    assert post(gateway, key, "/chat/completions", GOOD).status_code == 200


def test_while_the_database_is_away_who_cannot_be_reached_is_left_out(gateway, key, replica, dead_url, time_machine):
    make_dead(replica, dead_url, gateway)
    runtime.current().poller.stop()
    time_machine.move_to(now() + timedelta(hours=1))
    assert post(gateway, key, "/chat/completions", GOOD).status_code == 503


@pytest.mark.parametrize(("fault", "code"), [(hang_up, "upstream_failed"), (refuse(500), "upstream_failed")])
def test_a_worker_that_fails_before_the_first_byte_is_a_502(gateway, key, fake, fault, code):
    fake.behave = fault
    failed = post(gateway, key, "/chat/completions", STREAM)
    assert (failed.status_code, failed.json()["error"]["code"]) == (502, code)
    assert (the_record().state, the_record().status_code) == (UsageState.FAILED, 502)


def test_a_worker_that_refuses_our_secret_is_no_401_for_the_caller(gateway, key, fake):
    fake.behave = refuse(401, code="invalid_gateway_secret")
    assert post(gateway, key, "/chat/completions", GOOD).status_code == 502


def test_a_worker_that_stays_silent_is_a_504_and_is_told_to_stop(gateway, key, fake, settings):
    fake.behave = wait
    settings.UPSTREAM_READ_TIMEOUT = timedelta(seconds=2)
    failed = post(gateway, key, "/chat/completions", GOOD)
    assert (failed.status_code, failed.json()["error"]["code"]) == (504, "upstream_timeout")
    assert fake.cancelled


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (die_after_one_word, "upstream_failed"),
        (end_after_one_word, "upstream_failed"),
        (fail_after_one_word, "engine_failed"),
    ],
)
def test_a_stream_that_breaks_ends_with_an_error_event(gateway, key, fake, fault, code):
    fake.behave = fault
    *_, error, done = events(post(gateway, key, "/chat/completions", STREAM).text)
    assert f'"{code}"' in error
    assert done == "[DONE]"
    record = the_record()
    assert (record.state, record.error_code, record.status_code) == (UsageState.CUT_BY_UPSTREAM, code, 200)
    assert (record.count_source, record.completion_tokens) == (CountSource.ESTIMATED, 1)


def test_a_stream_that_lacks_nothing_but_its_end_is_given_one(gateway, key, fake):
    fake.behave = end_after_usage
    assert events(post(gateway, key, "/chat/completions", STREAM).text)[-1] == "[DONE]"
    assert the_record().state == UsageState.COMPLETE


def test_the_openai_client_raises_when_a_stream_breaks(client, fake):
    fake.behave = die_after_one_word
    with pytest.raises(openai.APIError, match="middle of the answer"):
        list(client.chat.completions.create(**STREAM))


def test_a_stream_that_begins_with_an_error_is_no_200(gateway, key, fake):
    fake.behave = begin_with_an_error
    failed = post(gateway, key, "/chat/completions", STREAM)
    assert (failed.status_code, failed.json()["error"]["message"]) == (502, "Broken.")


def test_a_full_replica_is_a_second_try_on_another(gateway, key, fake, second_fake):
    fake.behave = refuse(429)
    answers = [post(gateway, key, "/chat/completions", GOOD).status_code for _ in range(4)]
    assert answers == [200] * 4


def test_an_engine_that_finds_the_request_wrong_is_asked_once(gateway, key, fake, second_fake):
    fake.behave = second_fake.behave = refuse(400)
    post(gateway, key, "/chat/completions", GOOD)
    assert len(fake.bodies) + len(second_fake.bodies) == 1


def test_a_model_without_that_ability_is_refused_by_name(gateway, key, replica):
    Replica.objects.filter(pk=replica.pk).update(capabilities=["embeddings"])
    gateway.refresh()
    refused = post(gateway, key, "/chat/completions", GOOD)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")


def test_a_model_that_loads_for_longer_than_one_may_wait_is_not_ready(gateway, key, replica, settings):
    settings.QUEUE_WAIT = timedelta(seconds=1)
    Replica.objects.filter(pk=replica.pk).update(phase="loading")
    gateway.refresh()
    assert post(gateway, key, "/chat/completions", GOOD).status_code == 503


def test_a_replica_that_can_be_reached_again_is_found_by_a_probe(gateway, key, replica, dead_url, free_port):
    """Nobody asks meanwhile."""
    make_dead(replica, dead_url, gateway)
    troubles = runtime.current().balancer.breaker.troubles
    assert post(gateway, key, "/chat/completions", GOOD).status_code == 503
    again = FakeReplica(free_port)
    wait_until(lambda: not troubles)
    assert post(gateway, key, "/chat/completions", GOOD).status_code == 200
    again.close()


def test_a_replica_that_its_worker_no_longer_runs_stays_left_out(gateway, key, fake, monkeypatch):
    # So that on a busy machine, too, a probe comes before the pause is over and a request finds out.
    monkeypatch.setattr("gateway.breaker._FIRST_PAUSE_S", 30.0)
    fake.behave = refuse(404)
    fake.is_well = False
    post(gateway, key, "/chat/completions", GOOD)
    wait_until(lambda: fake.num_probes > 1)
    assert post(gateway, key, "/chat/completions", GOOD).status_code == 503
    assert len(fake.bodies) == 1


@pytest.mark.parametrize("fault", [refuse(500), die_after_one_word, fail_after_one_word], ids=["500", "cut", "error"])
def test_a_replica_that_keeps_failing_is_left_out_while_another_is_well(gateway, key, fake, second_fake, fault):
    fake.behave = fault
    for _ in range(20):
        post(gateway, key, "/chat/completions", STREAM)
    assert len(fake.bodies) < 8


def test_the_only_replica_is_asked_however_often_it_failed(gateway, key, fake):
    fake.behave = refuse(500)
    for _ in range(8):
        assert post(gateway, key, "/chat/completions", GOOD).status_code == 502
    fake.behave = answer
    assert post(gateway, key, "/chat/completions", GOOD).status_code == 200


def test_every_request_leaves_one_record_however_often_it_was_tried(gateway, key, fake, second_fake):
    fake.behave = hang_up
    for _ in range(3):
        post(gateway, key, "/chat/completions", GOOD)
    fake.behave = answer
    runtime.current().journal.write_up()
    records = UsageRecord.objects.all()
    assert [record.state for record in records] == [UsageState.COMPLETE] * 3
    assert sum(record.num_attempts for record in records) == len(fake.bodies) + len(second_fake.bodies)
