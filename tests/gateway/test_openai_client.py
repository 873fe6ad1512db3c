"""The official client points its base_url at us, and nothing else changes."""

import openai
import pytest

from tests.gateway.conftest import HELLO
from tests.gateway.fake_replica import SECRET, USAGE, WORDS, refuse

STORY = "".join(WORDS)


def test_a_chat_is_answered(client):
    answer = client.chat.completions.create(model="fake-1", messages=HELLO)
    assert answer.choices[0].message.content == STORY
    assert answer.usage.total_tokens == USAGE["total_tokens"]


def test_a_chat_is_streamed(client):
    chunks = list(client.chat.completions.create(model="fake-1", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == STORY
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stream_carries_usage_for_those_who_ask(client):
    options = {"include_usage": True}
    *_, last = client.chat.completions.create(model="fake-1", messages=HELLO, stream=True, stream_options=options)
    assert last.choices == []
    assert last.usage.completion_tokens == USAGE["completion_tokens"]


def test_a_stream_carries_no_usage_for_those_who_do_not(client):
    chunks = list(client.chat.completions.create(model="fake-1", messages=HELLO, stream=True))
    assert [chunk for chunk in chunks if chunk.usage or not chunk.choices] == []


def test_a_text_is_embedded(client):
    answer = client.embeddings.create(model="fake-1", input="Hello", encoding_format="float")
    assert answer.data[0].embedding == [0.6, 0.8]


def test_the_models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["fake-1"]


def test_one_model_is_described(client):
    assert client.models.retrieve("fake-1").object == "model"


def test_a_model_says_what_it_can_do_now_and_in_how_many_tokens(client):
    model = client.models.retrieve("fake-1")
    assert ("chat" in model.capabilities, model.context_length) == (True, 4096)


def test_every_answer_has_a_request_id(client):
    answer = client.chat.completions.create(model="fake-1", messages=HELLO)
    assert answer._request_id.startswith("req_")


def test_the_worker_sees_the_secret_and_not_the_key(client, fake, key):
    client.chat.completions.create(model="fake-1", messages=HELLO)
    assert fake.headers[0]["Authorization"] == f"Bearer {SECRET}"
    assert key not in str(fake.headers)


def test_the_engines_own_refusal_is_passed_on(client, fake):
    fake.behave = refuse(400, code="context_length_exceeded", param="messages", message="Too long.")
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="fake-1", messages=HELLO)
    assert refused.value.code == "context_length_exceeded"
