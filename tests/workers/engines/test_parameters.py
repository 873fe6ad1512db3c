"""Every sampling parameter over HTTP, as the official client sends it, beside others in one batch."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from protocol.parameters import NEEDS
from tests.workers.engines.conftest import SENTENCE, serve
from tests.workers.engines.tiny_models import make_tokenizer
from tests.workers.parameter_table import capabilities_of, make_table
from workers.engines.base import EngineSpec
from workers.engines.transformers.engine import TransformersEngine
from workers.engines.transformers.sampling import TokenLogprobs
from workers.engines.transformers.speller import Speller

HELLO = [{"role": "user", "content": "Hello"}]
GREEDY: dict[str, Any] = {"model": "m", "messages": HELLO, "temperature": 0, "max_tokens": 12}

ASKED: dict[str, dict[str, Any]] = {
    "top_k": {"top_k": 5},
    "min_p": {"min_p": 0.1},
    "presence_penalty": {"presence_penalty": 0.5},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "repetition_penalty": {"repetition_penalty": 1.2},
    "logit_bias": {"logit_bias": {"7": 1}},
    "min_tokens": {"min_tokens": 2},
    "ignore_eos": {"ignore_eos": True},
    "stop_token_ids": {"stop_token_ids": [5]},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"top_logprobs": 2},
    "n": {"n": 2},
    "echo": {"echo": True},
    "dimensions": {"dimensions": 8},
    "functions": {"functions": [{"name": "f"}]},
    "function_call": {"functions": [{"name": "f"}], "function_call": {"name": "f"}},
    "tool_choice": {"tool_choice": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
    "parallel_tool_calls": {"parallel_tool_calls": False},
    "response_format": {"response_format": {"type": "json_object"}},
    "structured_outputs": {"structured_outputs": {"regex": "[a-z]{3}"}},
}

Load = Callable[..., TransformersEngine]


@pytest.fixture
async def llama(load_engine: Load) -> AsyncIterator[openai.AsyncOpenAI]:
    async with serve(load_engine("llama"), EngineSpec(engine="transformers", source="llama")) as client:
        yield client


@pytest.fixture
async def parrot(load_engine: Load) -> AsyncIterator[openai.AsyncOpenAI]:
    async with serve(load_engine("parrot"), EngineSpec(engine="transformers", source="parrot")) as client:
        yield client


async def text(client: openai.AsyncOpenAI, **asked: Any) -> str:
    answer = await client.chat.completions.create(**{**GREEDY, **asked})
    return answer.choices[0].message.content or ""


@pytest.mark.parametrize(
    "asked",
    [
        {"temperature": 2.0, "extra_body": {"top_k": 1}},
        {"temperature": 2.0, "extra_body": {"min_p": 1.0}},
        {"temperature": 2.0, "top_p": 0.0},
    ],
)
async def test_truncation_to_one_token_is_greedy(llama: openai.AsyncOpenAI, asked: dict[str, Any]) -> None:
    assert await text(llama, **asked) == await text(llama)


async def test_rows_of_one_batch_keep_their_own_parameters(llama: openai.AsyncOpenAI) -> None:
    kinds: list[dict[str, Any]] = [
        {}, {"presence_penalty": 2.0}, {"temperature": 1.5, "seed": 5}, {"extra_body": {"repetition_penalty": 5.0}}
    ]  # fmt: skip
    alone = [await text(llama, max_tokens=48, **asked) for asked in kinds]

    assert await asyncio.gather(*[text(llama, max_tokens=48, **asked) for asked in kinds]) == alone
    assert len(set(alone)) > 2


async def test_a_biased_token_is_said_whenever_it_may_be(llama: openai.AsyncOpenAI) -> None:
    comma = make_tokenizer()(",")["input_ids"][0]

    assert await text(llama, logit_bias={str(comma): 100}, max_tokens=3) == ",,,"


async def test_min_tokens_and_ignore_eos_keep_an_answer_going(parrot: openai.AsyncOpenAI) -> None:
    sentence = "".join(SENTENCE)
    for asked in ({"min_tokens": 20}, {"ignore_eos": True}):
        answer = await parrot.chat.completions.create(
            model="m", messages=HELLO, temperature=0, max_tokens=20, extra_body=asked
        )
        assert answer.usage is not None
        assert (answer.choices[0].message.content or "").startswith(sentence)
        assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (20, "length")


async def test_a_stop_token_ends_the_answer_and_is_not_shown(parrot: openai.AsyncOpenAI) -> None:
    last = make_tokenizer()(SENTENCE[-1])["input_ids"][0]

    assert await text(parrot, extra_body={"stop_token_ids": [last]}) == "".join(SENTENCE[:-1])


async def test_several_choices_differ_are_repeatable_and_count_the_prompt_once(llama: openai.AsyncOpenAI) -> None:
    asked: dict[str, Any] = {**GREEDY, "temperature": 1.5, "seed": 3, "n": 3}
    one = await llama.chat.completions.create(**{**asked, "n": 1})

    first, second = [await llama.chat.completions.create(**asked) for _ in range(2)]

    texts = [choice.message.content for choice in first.choices]
    assert [choice.index for choice in first.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert texts == [choice.message.content for choice in second.choices]
    assert texts[0] == one.choices[0].message.content
    assert first.usage is not None
    assert one.usage is not None
    assert first.usage.prompt_tokens == one.usage.prompt_tokens


async def test_logprobs_tell_each_token_and_its_alternatives(parrot: openai.AsyncOpenAI) -> None:
    answer = await parrot.chat.completions.create(**GREEDY, logprobs=True, top_logprobs=3)

    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    spelled = b"".join(bytes(item.bytes or []) for item in logprobs.content)
    assert spelled.decode() == "".join(SENTENCE)
    assert answer.usage is not None
    assert len(logprobs.content) == answer.usage.completion_tokens
    for item in logprobs.content:
        assert [len(item.top_logprobs), item.top_logprobs[0].token] == [3, item.token]
        assert item.logprob == item.top_logprobs[0].logprob <= 0


@pytest.mark.parametrize("asked", [{"stop": "today"}, {"stop": " naïve"}, {"ignore_eos": True, "max_tokens": 30}])
async def test_every_token_that_is_counted_has_its_logprob_also_where_it_has_no_text(
    parrot: openai.AsyncOpenAI, asked: dict[str, Any]
) -> None:
    answer = await parrot.chat.completions.create(
        **GREEDY | {"extra_body": {"ignore_eos": asked.pop("ignore_eos", False)}} | asked, logprobs=True
    )

    assert answer.choices[0].logprobs.content is not None  # type: ignore[union-attr]
    assert len(answer.choices[0].logprobs.content) == answer.usage.completion_tokens  # type: ignore[union-attr]


async def test_a_stream_tells_the_logprobs_of_its_own_tokens(parrot: openai.AsyncOpenAI) -> None:
    spelled = b""
    async for chunk in await parrot.chat.completions.create(**GREEDY, logprobs=True, stream=True):
        for item in (chunk.choices[0].logprobs and chunk.choices[0].logprobs.content) or []:
            spelled += bytes(item.bytes or [])

    assert spelled.decode() == "".join(SENTENCE)


async def test_completions_tell_logprobs_in_their_own_shape(parrot: openai.AsyncOpenAI) -> None:
    answer = await parrot.completions.create(model="m", prompt="\n", temperature=0, max_tokens=2, logprobs=2)

    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens is not None
    assert logprobs.top_logprobs is not None
    assert "".join(logprobs.tokens) == answer.choices[0].text
    assert [len(top) for top in logprobs.top_logprobs] == [2, 2]
    assert logprobs.text_offset == [0, len(logprobs.tokens[0])]


async def test_an_echo_begins_with_the_prompt_given_as_text_or_tokens(parrot: openai.AsyncOpenAI) -> None:
    asked: Any = {"model": "m", "temperature": 0, "max_tokens": 20, "echo": True}
    text = await parrot.completions.create(prompt="Say it:\n", **asked)
    tokens = await parrot.completions.create(prompt=make_tokenizer()("Say it:\n")["input_ids"], **asked)
    streamed = [chunk.choices[0].text async for chunk in await parrot.completions.create(
        prompt="Say it:\n", stream=True, **asked
    )]  # fmt: skip

    assert text.choices[0].text == tokens.choices[0].text == "".join(streamed) == "Say it:\n" + "".join(SENTENCE)
    with pytest.raises(openai.BadRequestError) as refused:
        await parrot.completions.create(prompt="Say it:\n", logprobs=1, **asked)
    assert refused.value.param == "echo"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"n": 17}, "n"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"100000": 1}}, "logit_bias"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"extra_body": {"repetition_penalty": 0}}, "repetition_penalty"),
    ],
)
async def test_values_out_of_range_are_refused_by_name(
    llama: openai.AsyncOpenAI, asked: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await llama.chat.completions.create(**GREEDY, **asked)
    assert refused.value.param == param


def test_a_token_that_is_half_a_character_is_told_by_its_bytes() -> None:
    tokenizer = make_tokenizer()
    halves = list(tokenizer("🜁")["input_ids"])

    spelled = [Speller(tokenizer).spelled(TokenLogprobs(token=token, logprob=0.0)).spelling for token in halves]

    assert b"".join(spelled).decode() == "🜁"


def test_the_table_in_the_docs_says_what_the_code_does() -> None:
    docs = Path(__file__).parents[3] / "docs" / "api.md"

    assert make_table() in docs.read_text(encoding="utf-8"), "python -m tests.workers.parameter_table"


@pytest.mark.parametrize("param", NEEDS)
@pytest.mark.parametrize("engine", ["echo", "transformers"])
async def test_each_parameter_is_honoured_or_refused_as_the_table_says(
    engine: str, param: str, echo_client: openai.AsyncOpenAI, llama: openai.AsyncOpenAI
) -> None:
    client = echo_client if engine == "echo" else llama
    asked = {"logprobs": True, **ASKED[param]} if param == "top_logprobs" else ASKED[param]
    refusals = contextlib.nullcontext()
    if NEEDS[param].capability not in capabilities_of(engine):
        refusals = pytest.raises(openai.BadRequestError, match="not supported with this model")  # type: ignore[assignment]

    with refusals:
        if param == "echo":
            await client.completions.create(model="m", prompt="Hello", extra_body=asked)
        elif param == "dimensions":
            assert len((await client.embeddings.create(model="m", input="Hello", **asked)).data[0].embedding) == 8
        else:
            await client.chat.completions.create(**GREEDY, extra_body=asked)
