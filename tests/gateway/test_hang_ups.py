"""A client that goes away stops the engine, wherever it was, and what was used until then is on record, once."""

import pytest

from gateway import runtime
from gateway.models import CountSource, UsageRecord, UsageState
from tests.gateway.conftest import HELLO, the_record, wait_until
from tests.gateway.crowd import Crowd
from tests.gateway.fake_replica import USAGE, one_word_then_wait, wait

GOOD = {"model": "fake-1", "messages": HELLO}


def ask(client, **more):
    return client.chat.completions.create(**GOOD, **more)


def leave_after_the_first_word(client) -> None:
    stream = ask(client, stream=True)
    next(chunk for chunk in stream if chunk.choices[0].delta.content)
    stream.close()


@pytest.mark.parametrize("more", [{}, {"stream": True}], ids=["plain answer", "first event"])
def test_leaving_while_the_engine_is_silent_stops_it(gateway, key, fake, more):
    fake.behave = wait
    with Crowd(gateway) as crowd:
        asked = crowd.ask(key, **more)
        wait_until(fake.is_busy.is_set)
        asked.hang_up()
        wait_until(lambda: fake.cancelled)
    record = the_record()
    assert (record.state, record.status_code) == (UsageState.CUT_BY_CLIENT, 499)
    assert (record.count_source, record.completion_tokens) == (CountSource.ENGINE, 2)


def test_leaving_in_the_middle_of_a_stream_stops_the_engine(client, fake):
    fake.behave = one_word_then_wait
    leave_after_the_first_word(client)
    wait_until(lambda: fake.cancelled)
    record = the_record()
    assert (record.state, record.status_code) == (UsageState.CUT_BY_CLIENT, 200)
    assert (record.count_source, record.prompt_tokens, record.completion_tokens) == (CountSource.ENGINE, 7, 2)


def test_leaving_at_the_end_of_a_stream_is_no_hang_up(client):
    stream = ask(client, stream=True)
    for _ in stream:
        pass
    stream.close()
    record = the_record()
    assert record.state == UsageState.COMPLETE
    assert record.completion_tokens == USAGE["completion_tokens"]


def test_a_worker_that_cannot_say_what_was_used_leaves_an_estimate(client, fake, monkeypatch):
    fake.behave = one_word_then_wait
    monkeypatch.setattr(fake, "knows_requests", False)
    leave_after_the_first_word(client)
    record = the_record()
    assert (record.state, record.count_source) == (UsageState.CUT_BY_CLIENT, CountSource.ESTIMATED)
    assert record.completion_tokens == 1


def test_a_server_that_ends_stops_the_engine_and_leaves_the_record(gateway, client, fake):
    fake.behave = one_word_then_wait
    with ask(client, stream=True) as stream:
        next(stream)
        gateway.close()
    assert fake.cancelled
    record = UsageRecord.objects.get()
    assert (record.state, record.error_code) == (UsageState.CUT_BY_SERVER, "server_stopping")
    assert (record.status_code, record.completion_tokens) == (200, 2)


def test_a_hang_up_gives_the_replicas_place_back(client, fake):
    fake.behave = one_word_then_wait
    leave_after_the_first_word(client)
    the_record()
    wait_until(lambda: not runtime.current().balancer.in_flight)
