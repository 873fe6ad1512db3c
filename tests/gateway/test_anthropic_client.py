"""Anthropic's own client points its base_url at us, and nothing else changes."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from gateway.models import UsageState
from tests.gateway import fake_replica
from tests.gateway.conftest import LiveGateway, the_record
from tests.gateway.fake_replica import USAGE, WORDS, chunk, fail_after_one_word, one_word_then_wait, refuse

STORY = "".join(WORDS)
HELLO: dict[str, Any] = {"model": "fake-1", "max_tokens": 99, "messages": [{"role": "user", "content": "Hello"}]}
WEATHER = {
    "name": "weather",
    "description": "The weather there.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture
def client(gateway: LiveGateway, key: str) -> Iterator[anthropic.Anthropic]:
    base_url = gateway.url.removesuffix("/v1")
    with anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0, timeout=30) as client:
        yield client


def call(index: int, **function: str) -> dict[str, Any]:
    identity = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
    return {"tool_calls": [{"index": index, **identity, "function": {"arguments": "", **function}}]}


async def think_and_call(replica, request, body):
    """Thinks, speaks, then calls two tools."""
    deltas = [
        {"reasoning_content": "Cologne, then"},
        {"content": "Let me see."},
        call(0, name="weather"),
        call(0, arguments='{"city":'),
        call(0, arguments='"Köln"}'),
        call(1, name="clock"),
    ]
    response = await fake_replica.begin_stream(request, body)
    for delta in deltas:
        await response.write(chunk("fake-1", delta))
    await response.write(chunk("fake-1", {}, "tool_calls"))
    await response.write(fake_replica.usage_chunk("fake-1"))
    await response.write(b"data: [DONE]\n\n")
    return response


def test_a_message_is_answered_and_counted_once(client):
    answer = client.messages.create(**HELLO)
    assert [block.text for block in answer.content] == [STORY]
    assert (answer.model, answer.stop_reason, answer.usage.output_tokens) == ("fake-1", "end_turn", 4)
    record = the_record()
    assert (record.state, record.prompt_tokens, record.completion_tokens) == (UsageState.COMPLETE, 7, 4)
    assert (answer._request_id, answer.id) == (record.request_id, f"msg_{record.request_id[4:]}")


def test_a_stream_has_anthropics_events_in_their_order(client):
    events = list(client.messages.create(**HELLO, stream=True))
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * len(WORDS),
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_a_stream_adds_up_to_the_message(client):
    with client.messages.stream(**HELLO) as stream:
        message = stream.get_final_message()
    assert (message.content[0].text, message.stop_reason) == (STORY, "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (USAGE["prompt_tokens"], 4)


def test_thinking_text_and_calls_stream_as_blocks_of_their_own(client, fake):
    fake.behave = think_and_call
    with client.messages.stream(**HELLO, tools=[WEATHER], thinking={"type": "adaptive"}) as stream:
        message = stream.get_final_message()
    thinking, text, weather, clock = message.content
    assert (thinking.thinking, text.text) == ("Cologne, then", "Let me see.")
    assert (weather.name, weather.id, weather.input) == ("weather", "call_0", {"city": "Köln"})
    assert (clock.name, clock.input, message.stop_reason) == ("clock", {}, "tool_use")


def test_thinking_is_kept_from_those_who_do_not_ask_for_it(client, fake):
    fake.behave = think_and_call
    with client.messages.stream(**HELLO, tools=[WEATHER]) as stream:
        assert [block.type for block in stream.get_final_message().content] == ["text", "tool_use", "tool_use"]


def test_the_conversation_reaches_the_engine_in_openais_words(client, fake):
    client.messages.create(
        model="fake-1",
        max_tokens=99,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": ""},
                    {"type": "text", "text": "Let me see."},
                    {"type": "tool_use", "id": "call_0", "name": "weather", "input": {"city": "Köln"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Well?"},
                    {"type": "tool_result", "tool_use_id": "call_0", "content": "rain", "is_error": True},
                ],
            },
        ],
        tools=[WEATHER],
        tool_choice={"type": "auto"},
        extra_body={"temperature": 0.5},  # no longer an argument of the client's, but of the API's
        stop_sequences=["END"],
        metadata={"user_id": "ada"},
    )
    asked = fake.bodies[0]
    function = {"name": "weather", "arguments": '{"city":"Köln"}'}
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": "call_0", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_0", "content": "Error: rain"},
        {"role": "user", "content": "Well?"},
    ]
    assert asked["tools"][0]["function"]["parameters"] == WEATHER["input_schema"]
    assert (asked["tool_choice"], asked["temperature"], asked["max_tokens"]) == ("auto", 0.5, 99)
    assert (asked["stop"], asked["user"]) == (["END"], "ada")


def test_a_last_message_of_the_assistants_is_gone_on_with(client, fake):
    client.messages.create(**HELLO | {"messages": [*HELLO["messages"], {"role": "assistant", "content": "Once"}]})
    assert (fake.bodies[0]["continue_final_message"], fake.bodies[0]["add_generation_prompt"]) == (True, False)


def test_a_conversation_is_counted_before_it_is_answered(client, fake):
    counted = client.messages.count_tokens(
        model="fake-1", system="Be brief.", messages=[{"role": "user", "content": "Hello there"}], tools=[WEATHER]
    )
    assert counted.input_tokens == 4
    assert fake.bodies[0]["tools"][0]["function"]["name"] == "weather"


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]}]},
            "tools",
        ),
        ({"temperature": 1.5}, "temperature"),
        ({"mcp_servers": []}, "mcp_servers"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
    ],
    ids=lambda item: str(item)[:40],
)
def test_what_cannot_be_done_is_refused_in_anthropics_shape(client, change, names):
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(**HELLO | {"extra_body": change})
    assert (refused.value.body["type"], refused.value.body["error"]["type"]) == ("error", "invalid_request_error")
    assert names in refused.value.body["error"]["message"]
    assert refused.value.body["request_id"] == refused.value.request_id


def test_an_unknown_key_is_an_authentication_error(client):
    with pytest.raises(anthropic.AuthenticationError) as refused:
        client.with_options(api_key="sk-wrong").messages.create(**HELLO)
    assert refused.value.body["error"]["type"] == "authentication_error"


def test_a_bearer_token_does_as_well(client, gateway, key):
    token = {"base_url": gateway.url.removesuffix("/v1"), "auth_token": key}
    with anthropic.Anthropic(api_key=None, **token) as other:
        assert other.messages.create(**HELLO).content[0].text == STORY


def test_openais_endpoints_take_no_x_api_key(gateway, key):
    answer = httpx2.get(f"{gateway.url}/models", headers={"x-api-key": key})
    assert answer.status_code == 401


def test_the_engines_refusal_comes_in_anthropics_shape(client, fake):
    fake.behave = refuse(400, code="context_length_exceeded", message="Too long.")
    with pytest.raises(anthropic.BadRequestError, match=r"Too long\."):
        client.messages.create(**HELLO)


def test_a_stream_that_fails_ends_with_anthropics_error(client, fake):
    fake.behave = fail_after_one_word
    with pytest.raises(anthropic.APIStatusError, match="The engine failed") as failed:
        list(client.messages.create(**HELLO, stream=True))
    assert json.loads(json.dumps(failed.value.body))["error"]["type"] == "api_error"


def test_a_client_that_leaves_stops_the_engine(client, fake):
    fake.behave = one_word_then_wait
    with client.messages.create(**HELLO, stream=True) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                break
    record = the_record()
    assert (record.state, record.completion_tokens) == (UsageState.CUT_BY_CLIENT, 2)
