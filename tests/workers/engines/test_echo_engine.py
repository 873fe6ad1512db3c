"""The echo: what tests and demos rely on."""

import asyncio
import math

import pytest

from tests.workers.engines.conftest import chat, collect, text_of
from workers.engines.base import EngineSpec, EngineStats, Finished, Generate, Started, TextDelta, Usage
from workers.engines.echo import EchoEngine, tokenize
from workers.errors import BadRequest, ContextLengthExceeded, EngineFailed, LoadError, Overloaded, RequestCancelled


async def make_echo(source: str = "", max_concurrency: int = 8) -> EchoEngine:
    engine = EchoEngine(EngineSpec(engine="echo", source=source, max_concurrency=max_concurrency))
    await engine.load(lambda progress: None)
    return engine


async def test_a_chat_is_answered_with_the_last_user_message() -> None:
    engine = await make_echo()
    request = Generate(
        request_id="r",
        messages=[
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "first"},
            {"role": "user", "content": " Hello,  world 你好 "},
        ],
    )

    events = await collect(await engine.generate(request))

    assert text_of(events) == " Hello,  world 你好 "
    assert events[-1] == Finished(finish_reason="stop", usage=Usage(prompt_tokens=7, completion_tokens=5))


async def test_every_delta_is_one_token() -> None:
    engine = await make_echo()

    events = await collect(await engine.generate(chat("one two three")))

    assert [event.text for event in events if isinstance(event, TextDelta)] == ["one", " two", " three"]


@pytest.mark.parametrize("text", ["", " ", "a\n\n b", "你好 world！", "👩‍👩‍👧 ok", "\t x \n"])
def test_tokens_joined_are_the_text_again(text: str) -> None:
    assert "".join(tokenize(text)) == text


async def test_an_answer_is_cut_at_max_tokens() -> None:
    engine = await make_echo()

    events = await collect(await engine.generate(chat("one two three", max_tokens=2)))

    assert text_of(events) == "one two"
    assert events[-1] == Finished(finish_reason="length", usage=Usage(prompt_tokens=3, completion_tokens=2))


async def test_an_answer_ends_before_a_stop_string_of_several_tokens() -> None:
    engine = await make_echo()

    events = await collect(await engine.generate(chat("one two three four", stop=("wo thr",))))

    assert text_of(events) == "one t"


async def test_a_prompt_longer_than_the_context_is_refused() -> None:
    engine = await make_echo("context=3")

    with pytest.raises(ContextLengthExceeded, match=r"maximum context length is 3 tokens.*resulted in 4 tokens"):
        await engine.generate(chat("one two three four"))


async def test_max_tokens_beyond_the_context_is_refused() -> None:
    engine = await make_echo("context=8")

    with pytest.raises(ContextLengthExceeded, match=r"10 tokens .2 in the messages, 8 in the completion"):
        await engine.generate(chat("one two", max_tokens=8))


async def test_a_cancel_ends_a_long_slow_answer_and_its_usage_stays() -> None:
    engine = await make_echo("delay=0.01,repeat=1000")
    generation = await engine.generate(chat("again"))
    events = aiter(generation)
    assert isinstance(await anext(events), Started)
    await anext(events)

    generation.cancel()
    usage = generation.usage
    with pytest.raises(RequestCancelled):
        await anext(events)

    await generation.aclose()
    assert generation.usage == usage == Usage(prompt_tokens=1, completion_tokens=1)
    assert engine.stats() == EngineStats(num_running=0, num_waiting=0)


async def test_it_breaks_when_told_to() -> None:
    engine = await make_echo("fail_after=2")

    with pytest.raises(EngineFailed):
        await collect(await engine.generate(chat("one two three")))


async def test_what_exceeds_the_slots_waits_and_what_exceeds_the_line_is_refused() -> None:
    engine = await make_echo("delay=0.01,repeat=1000", max_concurrency=1)
    generations = [await engine.generate(chat("x")) for _ in range(17)]
    tasks = [asyncio.create_task(collect(generation)) for generation in generations]
    await asyncio.sleep(0)

    with pytest.raises(Overloaded):
        await engine.generate(chat("x"))

    assert engine.stats() == EngineStats(num_running=1, num_waiting=16)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert engine.stats() == EngineStats(num_running=0, num_waiting=0)


async def test_embeddings_are_unit_vectors_that_depend_on_the_text_alone() -> None:
    engine = await make_echo()

    embeddings = await engine.embed(["same", "other", "same"])

    assert embeddings.vectors[0] == embeddings.vectors[2] != embeddings.vectors[1]
    assert math.hypot(*embeddings.vectors[0]) == pytest.approx(1)


async def test_token_ids_outside_the_vocabulary_are_refused() -> None:
    engine = await make_echo()

    with pytest.raises(BadRequest, match="Token id 100000") as refused:
        await engine.embed([[1, 100_000]])

    assert refused.value.param == "input"


@pytest.mark.parametrize("source", ["delay=fast", "speed=3", "repeat"])
async def test_an_option_that_it_does_not_have_fails_the_load(source: str) -> None:
    with pytest.raises(LoadError, match="echo engine"):
        await make_echo(source)


async def test_it_can_be_told_to_refuse_from_some_request_on() -> None:
    engine = await make_echo("refuse_from=2")

    assert text_of(await collect(await engine.generate(chat("one")))) == "one"
    with pytest.raises(Overloaded):
        await engine.generate(chat("two"))


async def test_it_can_be_told_to_run_out_of_memory_from_some_request_on() -> None:
    engine = await make_echo("out_of_memory_from=2")
    bounds = []
    for _ in range(6):
        assert text_of(await collect(await engine.generate(chat("one")))) == "one"
        bounds.append(engine.stats().max_step_tokens)

    with pytest.raises(EngineFailed, match="memory"):
        await collect(await engine.generate(chat("one")))

    assert bounds == [None, 128, 64, 32, 16, 8]
    assert engine.stats().num_out_of_memory == 6
