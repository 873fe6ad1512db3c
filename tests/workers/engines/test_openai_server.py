"""The engine's HTTP API as the official client sees it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import openai
import pytest

from tests.workers.engines.conftest import SENTENCE, post, serve
from workers.engines.base import EngineSpec
from workers.engines.echo import EchoEngine
from workers.engines.transformers.engine import TransformersEngine

HELLO = [{"role": "user", "content": "Hello there 你好"}]
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


@pytest.fixture
async def parrot_client(load_engine: Callable[..., TransformersEngine]) -> AsyncIterator[openai.AsyncOpenAI]:
    async with serve(load_engine("parrot"), EngineSpec(engine="transformers", source="parrot")) as client:
        yield client


async def test_a_plain_chat(echo_client: openai.AsyncOpenAI) -> None:
    answer = await echo_client.chat.completions.create(model="echo-1", messages=HELLO)

    assert answer.choices[0].message.content == "Hello there 你好"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (4, 4, 8)


async def test_the_shape_of_a_plain_chat(echo_client: openai.AsyncOpenAI) -> None:
    body = (await post(echo_client, "chat/completions", {"model": "echo-1", "messages": HELLO})).json()

    assert body.pop("id").startswith("chatcmpl-")
    assert isinstance(body.pop("created"), int)
    assert body == {
        "object": "chat.completion",
        "model": "echo-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there 你好", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 4,
            "completion_tokens": 4,
            "total_tokens": 8,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


async def test_a_streamed_chat_begins_with_the_role_and_ends_with_reason_and_usage(
    echo_client: openai.AsyncOpenAI,
) -> None:
    stream = await echo_client.chat.completions.create(
        model="echo-1", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )

    first, *middle, last, usage = [chunk async for chunk in stream]

    assert first.choices[0].delta.to_dict() == {"role": "assistant", "content": "", "refusal": None}
    assert "".join(chunk.choices[0].delta.content or "" for chunk in middle) == "Hello there 你好"
    assert (last.choices[0].delta.to_dict(), last.choices[0].finish_reason) == ({}, "stop")
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.total_tokens == 8


async def test_a_stream_without_include_usage_has_none(echo_client: openai.AsyncOpenAI) -> None:
    response = await post(echo_client, "chat/completions", {"model": "m", "messages": HELLO, "stream": True})

    events = response.text.split("\n\n")
    assert "usage" not in response.text
    assert events[-2:] == ["data: [DONE]", ""]


async def test_the_clients_own_stream_reader_takes_it(parrot_client: openai.AsyncOpenAI) -> None:
    async with parrot_client.chat.completions.stream(model="parrot", messages=HELLO) as stream:
        answer = await stream.get_final_completion()

    assert answer.choices[0].message.content == "".join(SENTENCE)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_both_names_of_the_token_limit_are_kept(echo_client: openai.AsyncOpenAI, name: str) -> None:
    answer = await echo_client.chat.completions.create(model="m", messages=HELLO, **{name: 2})

    assert answer.choices[0].message.content == "Hello there"
    assert answer.choices[0].finish_reason == "length"


async def test_stop_may_be_a_string(echo_client: openai.AsyncOpenAI) -> None:
    answer = await echo_client.chat.completions.create(model="m", messages=HELLO, stop="there")

    assert answer.choices[0].message.content == "Hello "


async def test_content_may_come_in_text_parts(echo_client: openai.AsyncOpenAI) -> None:
    parts = [{"type": "text", "text": "Hello "}, {"type": "text", "text": "parts"}]

    answer = await echo_client.chat.completions.create(model="m", messages=[{"role": "user", "content": parts}])

    assert answer.choices[0].message.content == "Hello parts"


async def test_an_answer_sent_back_as_history_is_taken(echo_client: openai.AsyncOpenAI) -> None:
    answer = await echo_client.chat.completions.create(model="m", messages=HELLO)
    history = [*HELLO, answer.choices[0].message.model_dump(), {"role": "developer", "content": "x"}, *HELLO]

    again = await echo_client.chat.completions.create(model="m", messages=history)

    assert again.usage is not None
    assert again.usage.prompt_tokens == 13


async def test_parameters_that_ask_for_nothing_are_taken(echo_client: openai.AsyncOpenAI) -> None:
    neutral = {
        "n": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "logprobs": False, "user": "u",
        "metadata": {"a": "b"}, "store": False, "response_format": {"type": "text"}, "tool_choice": "none",
        "parallel_tool_calls": True, "seed": None, "stop": None, "temperature": 1, "top_p": 1, "tools": None,
        "service_tier": "auto", "modalities": ["text"], "stream": False, "stream_options": None,
    }  # fmt: skip

    response = await post(echo_client, "chat/completions", {"model": "m", "messages": HELLO, **neutral})

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("presence_penalty", 0.5),
        ("logit_bias", {"5": 1}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("response_format", {"type": "json_object"}),
        ("tool_choice", "sometimes"),
        ("tool_choice", {"type": "function", "function": {"name": "nothing"}}),
        ("tools", [TOOL]),
        ("functions", [{"name": "f"}]),
        ("top_k", 5),
        ("made_up", "x"),
        ("store", True),
        ("temperature", 2.5),
        ("temperature", "hot"),
        ("top_p", -0.1),
        ("max_tokens", 0),
        ("max_tokens", -5),
        ("max_tokens", 1.5),
        ("max_completion_tokens", "many"),
        ("stop", ""),
        ("stop", ["a"] * 17),
        ("seed", 2**70),
        ("stream", "yes"),
        ("stream_options", {"include_usage": True}),
        ("messages", []),
        ("messages", "Hello"),
    ],
)
async def test_a_parameter_that_cannot_be_kept_is_refused_by_name(
    echo_client: openai.AsyncOpenAI, name: str, value: Any
) -> None:
    response = await post(echo_client, "chat/completions", {"model": "m", "messages": HELLO, name: value})

    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == name
    assert name in error["message"]
    assert error.keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"content": "x"}, "messages[0].role"),
        ({"role": "robot", "content": "x"}, "messages[0].role"),
        ({"role": "user"}, "messages[0].content"),
        ({"role": "user", "content": 5}, "messages[0].content"),
        ({"role": "user", "content": "x", "colour": "red"}, "messages[0].colour"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "messages[0].content[0].image_url.url"),
        ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
        ({"role": "assistant", "content": None}, "messages[0].content"),
        ("x", "messages[0]"),
    ],
)
async def test_a_wrong_message_is_refused_by_its_place(
    echo_client: openai.AsyncOpenAI, message: Any, param: str
) -> None:
    response = await post(echo_client, "chat/completions", {"model": "m", "messages": [message]})

    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "\xed\xa0\x80"}]}',
        b'{"model": "m", "temperature": NaN, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "m", "max_tokens": ' + b"9" * 5000 + b', "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "m", "messages": ' + b"[" * 100_000,
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": ' + b'{"a":' * 100_000,
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "' + b"a" * 100_000 + b'": 1}',
    ],
)
async def test_a_body_that_is_no_sane_json_is_a_bad_request(echo_client: openai.AsyncOpenAI, body: bytes) -> None:
    response = await post(echo_client, "chat/completions", body)

    assert response.status_code == 400
    assert len(response.content) < 2000


async def test_a_body_that_is_not_compressed_as_it_says_is_a_bad_request(echo_client: openai.AsyncOpenAI) -> None:
    async with httpx2.AsyncClient(base_url=echo_client.base_url) as plain:
        response = await plain.post("completions", content=b"not gzip", headers={"Content-Encoding": "gzip"})

    assert response.status_code == 400


async def test_a_prompt_longer_than_the_context_has_openais_code(echo_client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await echo_client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x " * 10_000}], stream=True
        )

    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")


async def test_a_full_line_is_a_503_that_says_when_to_come_back() -> None:
    spec = EngineSpec(engine="echo", source="delay=0.01,repeat=1500", max_concurrency=1)
    async with serve(EchoEngine(spec), spec) as client:
        asking = [asyncio.create_task(client.chat.completions.create(model="m", messages=HELLO)) for _ in range(18)]
        done, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    refused = done.pop().exception()
    assert isinstance(refused, openai.InternalServerError)
    assert (refused.code, refused.status_code) == ("overloaded", 503)
    assert int(refused.response.headers["Retry-After"]) >= 1


async def test_a_failure_in_the_middle_of_a_stream_is_an_error_event() -> None:
    spec = EngineSpec(engine="echo", source="fail_after=2")
    async with serve(EchoEngine(spec), spec) as client:
        response = await post(client, "chat/completions", {"model": "m", "messages": HELLO, "stream": True})

    *_, error, done, _ = response.text.split("\n\n")
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == "engine_failed"
    assert done == "data: [DONE]"


async def test_a_failure_before_the_first_token_has_an_honest_status() -> None:
    spec = EngineSpec(engine="echo", source="fail_after=0")
    async with serve(EchoEngine(spec), spec) as client:
        with pytest.raises(openai.InternalServerError) as failed:
            await client.chat.completions.create(model="m", messages=HELLO)

    assert failed.value.code == "engine_failed"


async def test_completions_answer_each_prompt_by_its_index(echo_client: openai.AsyncOpenAI) -> None:
    answer = await echo_client.completions.create(model="m", prompt=["one two", "three"])

    assert [(choice.index, choice.text) for choice in answer.choices] == [(0, "one two"), (1, "three")]
    assert answer.usage is not None
    assert answer.usage.total_tokens == 6


@pytest.mark.parametrize(
    ("prompt", "texts"), [([7, 8], ["7 8"]), ([[7], [8, 9]], ["7", "8 9"]), ("a b", ["a b"]), (["a b"], ["a b"])]
)
async def test_prompts_may_be_text_or_ids_one_or_many(
    echo_client: openai.AsyncOpenAI, prompt: Any, texts: list[str]
) -> None:
    answer = await echo_client.completions.create(model="m", prompt=prompt)

    assert [choice.text for choice in answer.choices] == texts


async def test_streamed_completions_carry_the_index_of_their_prompt(echo_client: openai.AsyncOpenAI) -> None:
    texts = ["", ""]
    async for chunk in await echo_client.completions.create(model="m", prompt=["one two", "three four"], stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].text

    assert texts == ["one two", "three four"]


async def test_one_prompt_too_long_refuses_all_before_the_first_byte(echo_client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        await echo_client.completions.create(model="m", prompt=["fine", "x " * 10_000], stream=True)


@pytest.mark.parametrize("prompt", [[], [[]], ["a", 1], [1, [2]], 5, [1.5], [2**70], list("abcdefghijklmnopq")])
async def test_prompts_that_are_none_are_refused(echo_client: openai.AsyncOpenAI, prompt: Any) -> None:
    response = await post(echo_client, "completions", {"model": "m", "prompt": prompt})

    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith("prompt")


async def test_a_chat_with_a_model_that_only_embeds_is_refused(
    load_engine: Callable[..., TransformersEngine],
) -> None:
    async with serve(load_engine("bert"), EngineSpec(engine="transformers", source="bert")) as client:
        with pytest.raises(openai.BadRequestError, match="does not do chat; it does embeddings"):
            await client.chat.completions.create(model="m", messages=HELLO)


async def test_tool_calls_reach_the_client(load_engine: Callable[..., TransformersEngine]) -> None:
    async with serve(load_engine("caller"), EngineSpec(engine="transformers", source="caller")) as client:
        plain = await client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL])
        async with client.chat.completions.stream(model="m", messages=HELLO, tools=[TOOL]) as stream:
            streamed = await stream.get_final_completion()

    for answer in (plain, streamed):
        (call,) = answer.choices[0].message.tool_calls or []
        assert answer.choices[0].finish_reason == "tool_calls"
        assert answer.choices[0].message.content == "Hello"
        assert (call.type, call.function.name) == ("function", "get_weather")
        assert json.loads(call.function.arguments) == {"city": "Rome"}


async def test_without_tools_a_tool_call_is_text(load_engine: Callable[..., TransformersEngine]) -> None:
    async with serve(load_engine("caller"), EngineSpec(engine="transformers", source="caller")) as client:
        answer = await client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL], tool_choice="none")

    assert answer.choices[0].message.tool_calls is None
    assert "<tool_call>" in (answer.choices[0].message.content or "")


@pytest.mark.parametrize("path", ["nope", "chat", "requests/unknown/cancel"])
async def test_what_is_not_there_is_a_404_in_openais_shape(echo_client: openai.AsyncOpenAI, path: str) -> None:
    response = await post(echo_client, path, b"")

    assert response.status_code == 404
    assert response.json()["error"].keys() == {"message", "type", "param", "code"}


async def test_the_models_list_names_the_source(parrot_client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in parrot_client.models.list()] == ["parrot"]


async def test_a_chat_is_tokenized_as_it_would_be_fed_to_the_model(parrot_client: openai.AsyncOpenAI) -> None:
    tokens = (await post(parrot_client, "tokenize", {"model": "parrot", "messages": HELLO})).json()
    answer = await parrot_client.chat.completions.create(model="parrot", messages=HELLO, max_tokens=1)  # type: ignore[arg-type]

    assert answer.usage is not None
    assert tokens["count"] == len(tokens["tokens"]) == answer.usage.prompt_tokens


async def test_the_echo_counts_a_prompt(echo_client: openai.AsyncOpenAI) -> None:
    tokens = (await post(echo_client, "tokenize", {"model": "echo-1", "prompt": "Hello,  world 你好"})).json()

    assert tokens == {"count": 4, "max_model_len": 8192, "tokens": [0, 1, 2, 3]}
