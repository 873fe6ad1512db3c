"""The transformers engine as its callers see it: right tokens, exact counts, fair turns, quick cancels."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.workers.engines.conftest import SENTENCE, chat, collect, text_of
from tests.workers.engines.tiny_models import BROKEN_TOKEN, CONTEXT_LENGTH
from workers.engines.base import Finished, Generate, Sampling, Started, TextDelta, Usage
from workers.engines.transformers.engine import TransformersEngine
from workers.errors import BadRequest, ContextLengthExceeded, EngineFailed, RequestCancelled

GREEDY = Sampling(temperature=0)
PROMPTS = ["Hello", "The capital of France is", "你好，世界", "x" * 600, "a b c d e f"]

Load = Callable[..., TransformersEngine]


def reference(folder: Path, prompt: str, max_tokens: int) -> tuple[str, int]:
    """What `model.generate` says: the text, and the number of tokens without the one that ends it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    prompt_ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    output = model.generate(
        input_ids=prompt_ids,
        attention_mask=torch.ones_like(prompt_ids),
        max_new_tokens=max_tokens,
        do_sample=False,
        pad_token_id=0,
    )
    ids = [token for token in output[0, prompt_ids.shape[1] :].tolist() if token != tokenizer.eos_token_id]
    return tokenizer.decode(ids, skip_special_tokens=True), len(ids)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2"])
async def test_greedy_text_is_that_of_generate_whatever_else_runs(
    family: str, load_engine: Load, model_folder: Callable[[str], Path]
) -> None:
    engine = load_engine(family)
    generations = [
        await engine.generate(Generate(request_id="r", prompt=prompt, max_tokens=24, sampling=GREEDY))
        for prompt in PROMPTS
    ]

    answers = await asyncio.gather(*map(collect, generations))

    expected = [reference(model_folder(family), prompt, 24) for prompt in PROMPTS]
    found = [(text_of(events), events[-1].usage.completion_tokens) for events in answers]  # type: ignore[union-attr]
    assert found == expected


async def test_the_same_seed_gives_the_same_text_beside_other_requests(load_engine: Load) -> None:
    engine = load_engine("llama")
    seeded = chat("Hello", max_tokens=24, sampling=Sampling(temperature=1.5, top_p=0.9, seed=42))
    alone = text_of(await collect(await engine.generate(seeded)))

    others = [await engine.generate(chat(f"Other {number}", max_tokens=16)) for number in range(3)]
    answers = await asyncio.gather(collect(await engine.generate(seeded)), *map(collect, others))

    assert text_of(answers[0]) == alone


async def test_other_seeds_give_other_texts(load_engine: Load) -> None:
    requests = [chat("Hello", max_tokens=16, sampling=Sampling(temperature=1.5, seed=seed)) for seed in range(4)]

    texts = {text_of(await collect(await load_engine("llama").generate(request))) for request in requests}

    assert len(texts) > 1


async def test_an_answer_streams_in_whole_characters_and_is_counted_exactly(
    load_engine: Load, model_folder: Callable[[str], Path]
) -> None:
    engine = load_engine("parrot")

    events = await collect(await engine.generate(chat("Speak")))

    sentence = "".join(SENTENCE)
    tokenizer = AutoTokenizer.from_pretrained(model_folder("parrot"))
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "Speak"}], add_generation_prompt=True)
    usage = Usage(prompt_tokens=len(prompt["input_ids"]), completion_tokens=len(tokenizer(sentence)["input_ids"]))
    assert text_of(events) == sentence
    assert events[-1] == Finished(
        finish_reason="stop", usage=replace(usage, cached_tokens=events[-1].usage.cached_tokens)
    )  # type: ignore[union-attr]
    assert not any("�" in event.text for event in events if isinstance(event, TextDelta))


async def test_an_answer_ends_before_a_stop_string_over_several_tokens(load_engine: Load) -> None:
    events = await collect(await load_engine("parrot").generate(chat("Speak", stop=("界🦜 n", "never"))))

    assert text_of(events) == "Hello 世"
    assert events[-1].finish_reason == "stop"  # type: ignore[union-attr]


async def test_what_looked_like_a_stop_string_is_not_lost_at_the_end(load_engine: Load) -> None:
    events = await collect(await load_engine("parrot").generate(chat("Speak", stop=("today, tomorrow",))))

    assert text_of(events) == "".join(SENTENCE)


async def test_a_cut_answer_says_so(load_engine: Load) -> None:
    events = await collect(await load_engine("parrot").generate(chat("Speak", max_tokens=1)))

    assert events[-1].finish_reason == "length"  # type: ignore[union-attr]
    assert events[-1].usage.completion_tokens == 1  # type: ignore[union-attr]


async def test_a_model_without_a_template_does_not_speak_for_the_user(load_engine: Load) -> None:
    events = await collect(await load_engine("base").generate(chat("Speak")))

    assert text_of(events) == "Hello"
    assert events[-1].finish_reason == "stop"  # type: ignore[union-attr]


async def test_a_completion_continues_its_prompt(load_engine: Load) -> None:
    request = Generate(request_id="r", prompt="So he said:\n", sampling=GREEDY)

    assert text_of(await collect(await load_engine("parrot").generate(request))) == "".join(SENTENCE)


async def test_a_prompt_longer_than_the_context_is_refused_before_it_starts(load_engine: Load) -> None:
    with pytest.raises(ContextLengthExceeded, match=f"maximum context length is {CONTEXT_LENGTH} tokens"):
        await load_engine("llama").generate(chat("x y " * CONTEXT_LENGTH))


async def test_an_answer_that_cannot_fit_is_refused(load_engine: Load) -> None:
    with pytest.raises(ContextLengthExceeded, match=f"{CONTEXT_LENGTH} in the completion"):
        await load_engine("llama").generate(chat("x", max_tokens=CONTEXT_LENGTH))


async def test_without_a_limit_an_answer_may_fill_the_context(load_engine: Load) -> None:
    engine = load_engine("gpt2")
    request = Generate(request_id="r", prompt_tokens=[5] * (CONTEXT_LENGTH - 3), sampling=GREEDY)

    events = await collect(await engine.generate(request))

    usage = events[-1].usage  # type: ignore[union-attr]
    assert usage.prompt_tokens + usage.completion_tokens <= CONTEXT_LENGTH


async def test_token_ids_outside_the_vocabulary_are_refused(load_engine: Load) -> None:
    with pytest.raises(BadRequest, match="Token id 100256 is outside"):
        await load_engine("llama").generate(Generate(request_id="r", prompt_tokens=[1, 100_256]))


async def test_several_requests_make_progress_together(load_engine: Load) -> None:
    generations = [await load_engine("llama").generate(endless(f"Number {number}")) for number in range(4)]

    firsts = [await tokens(aiter(generation), 3) for generation in generations]

    assert min(firsts) >= 3
    await close_all(generations)


async def test_a_long_prompt_does_not_stall_a_running_stream(load_engine: Load) -> None:
    engine = load_engine("llama", max_num_batched_tokens=256)
    running = await engine.generate(endless("Hello"))
    await tokens(aiter(running), 1)
    long = await engine.generate(Generate(request_id="long", prompt_tokens=[7] * 2000, max_tokens=1))
    before = running.usage.completion_tokens

    assert isinstance(await anext(aiter(long)), Started)

    # 2,000 tokens are eight pieces, and each step feeds one piece and decodes one token of the other.
    assert running.usage.completion_tokens - before >= 6
    await close_all([running, long])


async def test_a_short_prompt_overtakes_a_long_one(load_engine: Load) -> None:
    engine = load_engine("llama", max_num_batched_tokens=256)
    long = await engine.generate(Generate(request_id="long", prompt_tokens=[8] * 2000, max_tokens=1))
    short = await engine.generate(chat("Hi", max_tokens=1))

    await collect(short)

    assert long.usage.prompt_tokens < 2000
    await close_all([long])


async def test_a_cancel_stops_within_a_step_and_frees_the_slot(load_engine: Load) -> None:
    engine = load_engine("llama", max_concurrency=1)
    running = await engine.generate(endless("Hello"))
    events = aiter(running)
    await tokens(events, 2)
    waiting = await engine.generate(endless("Next"))

    running.cancel()
    usage = running.usage

    with pytest.raises(RequestCancelled):
        await tokens(events, CONTEXT_LENGTH)
    assert isinstance(await anext(aiter(waiting)), Started)
    assert running.usage == usage
    await close_all([running, waiting])


async def test_a_request_beyond_the_slots_waits_its_turn(load_engine: Load) -> None:
    engine = load_engine("llama", max_concurrency=1)
    running = await engine.generate(endless("Hello"))
    await tokens(aiter(running), 1)
    waiting = await engine.generate(chat("Next", max_tokens=2))

    stats = engine.stats()
    assert (stats.num_running, stats.num_waiting) == (1, 1)
    assert 0 < stats.cache_usage < 1
    await running.aclose()
    assert isinstance((await collect(waiting))[-1], Finished)


async def test_closed_requests_leave_nothing_behind(load_engine: Load) -> None:
    engine = load_engine("llama", max_concurrency=1)
    generations = [await engine.generate(endless("x")) for _ in range(5)]
    await tokens(aiter(generations[0]), 1)

    await close_all(generations)

    assert isinstance((await collect(await engine.generate(chat("y", max_tokens=1))))[-1], Finished)
    assert (engine.stats().num_running, engine.stats().num_waiting) == (0, 0)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
async def test_one_broken_request_does_not_touch_the_others(load_engine: Load, temperature: float) -> None:
    engine = load_engine("broken")
    healthy = await engine.generate(endless("Hello"))
    sampling = Sampling(temperature=temperature)
    broken = await engine.generate(Generate(request_id="r", prompt_tokens=[BROKEN_TOKEN], sampling=sampling))

    with pytest.raises(EngineFailed):
        await collect(broken)

    assert await tokens(aiter(healthy), 5) >= 5
    await close_all([healthy])


async def test_a_slow_reader_gets_everything_in_larger_pieces(load_engine: Load) -> None:
    generation = await load_engine("parrot").generate(chat("Speak"))
    events = aiter(generation)
    assert isinstance(await anext(events), Started)
    # Nothing is read until another request, which came later, is through.
    await collect(await load_engine("parrot").generate(chat("Speak")))

    rest = [event async for event in events]

    assert [event.text for event in rest if isinstance(event, TextDelta)] == ["".join(SENTENCE)]
    await generation.aclose()


def endless(text: str) -> Generate:
    """A chat whose answer is long enough to be cut; its seed is one whose answer does not end by itself soon."""
    return Generate(request_id="endless", prompt=text, max_tokens=1500, sampling=Sampling(temperature=2.0, seed=1))


async def tokens(events: Any, num: int) -> int:
    """Read until at least that many tokens were generated; how many there were."""
    async for event in events:
        if not isinstance(event, Started) and event.usage.completion_tokens >= num:
            return event.usage.completion_tokens  # type: ignore[no-any-return]
    raise AssertionError("the answer ended too soon")


async def close_all(generations: list[Any]) -> None:
    for generation in generations:
        await generation.aclose()
