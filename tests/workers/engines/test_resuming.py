"""An answer that another engine had begun goes on as if nothing had happened."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import openai
import pytest

from tests.workers.engines.conftest import SENTENCE, chat, collect, serve, text_of
from workers.engines.base import Engine, EngineSpec, Finished, Generate, GenerationEvent, Resume, Sampling, TextDelta
from workers.engines.echo import EchoEngine
from workers.engines.transformers.engine import TransformersEngine
from workers.errors import BadRequest

GREEDY = Sampling(temperature=0)
SEEDED = Sampling(temperature=1.3, top_p=0.9, seed=7)

Load = Callable[..., TransformersEngine]


async def answer(engine: Engine, request: Generate) -> list[GenerationEvent]:
    return await collect(await engine.generate(request))


def cuts(events: list[GenerationEvent]) -> list[Resume]:
    """What a reader holds after each delta."""
    deltas = [event for event in events if isinstance(event, TextDelta)]
    return [
        Resume(
            tokens=tuple(token for delta in deltas[:end] for token in delta.tokens),
            num_chars=sum(len(delta.text) for delta in deltas[:end]),
        )
        for end in range(len(deltas) + 1)
    ]


def end_of(events: list[GenerationEvent]) -> tuple[str, int, int]:
    """How it ended, and what it counts. (What was computed before may differ: it was said before.)"""
    finished = events[-1]
    assert isinstance(finished, Finished)
    return finished.finish_reason, finished.usage.prompt_tokens, finished.usage.completion_tokens


async def check_every_cut(engine: Engine, request: Generate) -> None:
    undisturbed = await answer(engine, request)
    assert text_of(undisturbed)
    for cut in cuts(undisturbed):
        resumed = await answer(engine, replace(request, resume=cut))
        assert text_of(undisturbed)[: cut.num_chars] + text_of(resumed) == text_of(undisturbed)
        assert end_of(resumed) == end_of(undisturbed)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2"])
@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["greedy", "seeded"])
async def test_wherever_it_was_cut_the_text_and_the_counts_are_those_of_an_undisturbed_run(
    family: str, sampling: Sampling, load_engine: Load
) -> None:
    await check_every_cut(load_engine(family), chat("Hello", max_tokens=24, sampling=sampling))


async def test_characters_of_several_tokens_are_neither_lost_nor_doubled(load_engine: Load) -> None:
    await check_every_cut(load_engine("parrot"), chat("Say it", sampling=GREEDY))


async def test_a_stop_string_is_found_across_the_cut(load_engine: Load) -> None:
    sentence = "".join(SENTENCE)
    stop = sentence[len(sentence) // 2 : len(sentence) // 2 + 6]
    await check_every_cut(load_engine("parrot"), chat("Say it", sampling=GREEDY, stop=(stop,)))


async def test_one_that_lacked_nothing_but_its_end_is_ended(load_engine: Load) -> None:
    engine, request = load_engine("llama"), chat("Hello", max_tokens=8, sampling=GREEDY)
    whole = cuts(await answer(engine, request))[-1]
    resumed = await answer(engine, replace(request, resume=whole))
    assert text_of(resumed) == ""
    assert isinstance(resumed[-1], Finished)
    assert (resumed[-1].finish_reason, resumed[-1].usage.completion_tokens) == ("length", 8)


async def test_tokens_that_the_model_does_not_have_are_refused_by_name(load_engine: Load) -> None:
    with pytest.raises(BadRequest) as refused:
        await answer(load_engine("llama"), chat("Hello", resume=Resume(tokens=(10**9,), num_chars=0)))
    assert refused.value.param == "resume.token_ids"


async def test_the_echo_goes_on_as_well() -> None:
    engine = EchoEngine(EngineSpec(engine="echo", source="repeat=2"))
    await engine.load(lambda progress: None)
    await check_every_cut(engine, chat("one two three, and four", stop=("four one two t",)))


@pytest.fixture
async def echo() -> AsyncIterator[openai.AsyncOpenAI]:
    spec = EngineSpec(engine="echo", source="")
    async with serve(EchoEngine(spec), spec) as client:
        yield client


async def stream(client: openai.AsyncOpenAI, messages: list[dict[str, str]], **extra: Any) -> list[Any]:
    chunks = await client.chat.completions.create(
        model="m", messages=messages, stream=True, stream_options={"include_usage": True}, extra_body=extra
    )
    return [chunk async for chunk in chunks]


QUESTION = {"role": "user", "content": "one two three"}


async def test_over_http_each_chunk_tells_its_tokens_and_takes_them_back(echo: openai.AsyncOpenAI) -> None:
    chunks = await stream(echo, [QUESTION], return_token_ids=True)
    told = [
        chunk.choices[0].model_extra["token_ids"]
        for chunk in chunks
        if chunk.choices and chunk.choices[0].delta.content
    ]
    assert told == [[0], [1], [2]]

    rest = await stream(echo, [QUESTION], resume={"token_ids": [0, 1], "num_chars": 7})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in rest if chunk.choices) == " three"
    assert rest[-1].usage == chunks[-1].usage


@pytest.mark.parametrize("family", ["echo", "parrot"])
async def test_a_last_message_of_the_assistants_is_continued_when_asked(family: str, load_engine: Load) -> None:
    spec = EngineSpec(engine=family, source="")
    engine = EchoEngine(spec) if family == "echo" else load_engine("parrot")
    expected = "one two three" if family == "echo" else "".join(SENTENCE)
    begun = {"role": "assistant", "content": expected.split()[0]}
    async with serve(engine, spec) as client:
        chunks = await stream(client, [QUESTION, begun], continue_final_message=True, add_generation_prompt=False)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert begun["content"] + said == expected


@pytest.mark.parametrize(
    ("messages", "extra", "param"),
    [
        ([QUESTION], {"continue_final_message": True, "add_generation_prompt": False}, "continue_final_message"),
        ([QUESTION], {"add_generation_prompt": False}, "add_generation_prompt"),
        ([QUESTION], {"resume": {"token_ids": [-1], "num_chars": 0}}, "resume.token_ids[0]"),
    ],
)
async def test_what_cannot_be_continued_is_refused_by_name(
    messages: list[dict[str, str]], extra: dict[str, Any], param: str, echo: openai.AsyncOpenAI
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await stream(echo, messages, **extra)
    assert refused.value.param == param
