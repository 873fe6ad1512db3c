"""A model that thinks aloud, over HTTP: its thoughts have a field and a count of their own."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest

from tests.workers.engines.conftest import serve
from workers.engines.base import EngineSpec
from workers.engines.transformers.engine import TransformersEngine

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0}


@pytest.fixture
async def thinker(load_engine: Callable[..., TransformersEngine]) -> AsyncIterator[openai.AsyncOpenAI]:
    async with serve(load_engine("thinker"), EngineSpec(engine="transformers", source="thinker")) as client:
        yield client


async def test_a_whole_answer_tells_its_thought_apart(thinker: openai.AsyncOpenAI) -> None:
    answer = await thinker.chat.completions.create(**ASKED, logprobs=True)

    message = answer.choices[0].message
    assert (message.content, message.model_extra) == ("Hello today", {"reasoning_content": "世界 naïve"})
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    thought = answer.usage.completion_tokens_details.reasoning_tokens or 0
    assert 0 < thought < answer.usage.completion_tokens


async def test_a_stream_tells_its_thought_apart(thinker: openai.AsyncOpenAI) -> None:
    thought = said = ""
    async for chunk in await thinker.chat.completions.create(**ASKED, stream=True):
        delta = chunk.choices[0].delta
        assert not (said and delta.model_extra)
        thought += (delta.model_extra or {}).get("reasoning_content", "")
        said += delta.content or ""

    assert (thought, said) == ("世界 naïve", "Hello today")


async def test_a_thought_that_is_cut_leaves_no_text(thinker: openai.AsyncOpenAI) -> None:
    answer = await thinker.chat.completions.create(**ASKED, max_tokens=2)

    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("", "length")
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 1


async def test_the_form_of_an_answer_is_not_asked_of_its_thought(thinker: openai.AsyncOpenAI) -> None:
    wanted = {"structured_outputs": {"choice": ["Hello today", "Never"]}}
    answer = await thinker.chat.completions.create(**ASKED, extra_body=wanted)

    message = answer.choices[0].message
    assert (message.content, message.model_extra) == ("Hello today", {"reasoning_content": "世界 naïve"})
