"""A streaming client that waits for its turn is told how it stands, in comments; everybody else notices nothing."""

import re

import openai
import pytest

from gateway import runtime
from gateway.models import UsageState
from tests.gateway.conftest import HELLO, give_places, the_record, wait_until
from tests.gateway.crowd import Crowd
from tests.gateway.fake_replica import WORDS, linger, refuse


@pytest.fixture
def crowd(gateway, fake):
    """With them, the model's only replica answers one request at a time, and only when it is told to."""
    give_places(1)
    gateway.refresh()
    fake.behave = linger
    with Crowd(gateway) as crowd:
        yield crowd


@pytest.fixture
def busy(crowd, key, fake):
    """The one place is taken, by a request that has lasted long enough to judge others' wait by."""
    first = crowd.ask(key)
    wait_until(lambda: fake.num_open)
    fake.release()
    first.heard()
    crowd.ask(key)
    wait_until(lambda: fake.num_open)
    return crowd


def told(text: str) -> list[int]:
    return [int(position) for position in re.findall(r"^: queue position=(\d+)", text, re.MULTILINE)]


def num_told() -> int:
    return runtime.current().admission.num_told


def test_a_stream_says_how_it_stands_until_its_answer_begins(busy, key, fake):
    asked = [busy.ask(key, stream=True) for _ in range(2)]
    wait_until(lambda: runtime.current().admission.num_waiting == 2)
    before = num_told()
    wait_until(lambda: num_told() >= before + 4)
    fake.release(3)
    heard = [one.heard() for one in asked]
    assert [one.status for one in heard] == [200, 200]
    assert sorted(told(one.text)[0] for one in heard) == [1, 2]
    assert all(one.text.endswith("data: [DONE]\n\n") for one in heard)


def test_the_expected_wait_is_told_where_there_is_something_to_judge_it_by(busy, key, fake):
    asked = busy.ask(key, stream=True)
    wait_until(num_told)
    fake.release(2)
    assert re.search(r"^: queue position=1 wait=\d+s$", asked.heard().text, re.MULTILINE)


def test_the_openai_client_reads_past_it(busy, client, fake):
    with client.chat.completions.create(model="fake-1", messages=HELLO, stream=True) as stream:
        fake.release(2)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "".join(WORDS)


def test_who_need_not_wait_hears_nothing_of_a_queue(crowd, key, fake):
    fake.release()
    assert told(crowd.ask(key, stream=True).heard().text) == []


def test_a_failure_after_that_is_an_error_event(busy, client, key, fake):
    asked = busy.ask(key, stream=True)
    wait_until(num_told)
    fake.behave = refuse(400, message="Too long.", code="context_length_exceeded")
    fake.release()
    heard = asked.heard()
    assert (heard.status, '"context_length_exceeded"' in heard.text) == (200, True)
    assert heard.text.endswith("data: [DONE]\n\n")


def test_the_openai_client_raises_what_it_is_told_so(busy, client, fake, settings):
    stream = client.chat.completions.create(model="fake-1", messages=HELLO, stream=True)
    fake.behave = refuse(400, message="Too long.")
    fake.release()
    with pytest.raises(openai.APIError, match="Too long"):
        list(stream)


def test_leaving_while_waiting_leaves_one_record_and_nothing_else(crowd, key, fake):
    crowd.ask(key)
    wait_until(lambda: fake.num_open)
    asked = crowd.ask(key, stream=True)
    wait_until(num_told)
    asked.hang_up()
    record = the_record()
    assert (record.state, record.status_code, record.queue_ms > 0) == (UsageState.CUT_BY_CLIENT, 200, True)
    assert runtime.current().admission.num_waiting == 0
