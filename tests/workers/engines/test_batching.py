"""Many rows in one forward: each gets what it would get alone, whoever joins, leaves or breaks beside it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from tests.workers.engines.conftest import chat, collect
from workers.engines.base import EngineSpec, Generate, Generation, Sampling, Started, TextDelta
from workers.engines.transformers import batched_forward
from workers.engines.transformers.engine import TransformersEngine
from workers.engines.transformers.loading import load_model
from workers.engines.transformers.preparing import make_room
from workers.errors import EngineFailed, LoadError, RequestCancelled

BATCHED = ["llama", "qwen2", "gpt2", "mistral", "gemma2", "gpt_oss"]
GREEDY = Sampling(temperature=0)
MAX_TOKENS = 12
# Of mixed lengths; two begin alike, one is longer than a piece.
PROMPTS = ((5, 9, 13), tuple(range(3, 120)), (*range(3, 80), 7, 8), (200, 100, 300, 40), (11,) * 30)

Load = Callable[..., TransformersEngine]
ModelFolder = Callable[[str], Path]


@cache
def plain_model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder)


@cache
def reference(folder: Path, prompt: tuple[int, ...]) -> tuple[int, ...]:
    """What `model.generate` says alone, up to the token that ends it."""
    model = plain_model(folder)
    ids = torch.tensor([prompt])
    output = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=MAX_TOKENS, do_sample=False, pad_token_id=0
    )
    said = output[0, len(prompt) :].tolist()
    return tuple(said[: said.index(2)] if 2 in said else said)


def tokens_of(events: list[Any]) -> tuple[int, ...]:
    return tuple(token for event in events if isinstance(event, TextDelta) for token in event.tokens)


def ask(prompt: tuple[int, ...], **options: Any) -> Generate:
    return Generate(
        request_id="r", prompt_tokens=list(prompt), **{"max_tokens": MAX_TOKENS, "sampling": GREEDY, **options}
    )


@dataclass(frozen=True)
class Visit:
    """A row that joins when the one before has said some tokens, and perhaps leaves after some of its own."""

    prompt: int
    joins_after: int
    leaves_after: int | None


VISITS = st.lists(
    st.builds(
        Visit,
        prompt=st.integers(0, len(PROMPTS) - 1),
        joins_after=st.integers(0, 4),
        leaves_after=st.none() | st.integers(0, 6),
    ),
    min_size=2,
    max_size=6,
)


async def said_in(engine: TransformersEngine, visits: list[Visit]) -> list[tuple[int, ...]]:
    """What each visit's row says, as far as it stays."""
    turns = [asyncio.Event() for _ in range(len(visits) + 1)]
    turns[0].set()

    async def visit(number: int) -> tuple[int, ...]:
        await turns[number].wait()
        asked, said = visits[number], []
        async with aclosing(await engine.generate(ask(PROMPTS[asked.prompt]))) as generation:
            async for event in generation:
                said += event.tokens if isinstance(event, TextDelta) else ()
                if number + 1 == len(visits) or len(said) >= visits[number + 1].joins_after:
                    turns[number + 1].set()
                if asked.leaves_after is not None and len(said) >= asked.leaves_after:
                    break
        turns[number + 1].set()
        return tuple(said)

    return await asyncio.gather(*map(visit, range(len(visits))))


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "mistral"])
def test_whoever_joins_and_leaves_each_row_says_what_generate_says(
    family: str, load_engine: Load, model_folder: ModelFolder
) -> None:
    engine = load_engine(family, max_num_batched_tokens=32)

    @settings(max_examples=5, deadline=None, derandomize=True)
    @given(VISITS)
    def check(visits: list[Visit]) -> None:
        for visit, said in zip(visits, asyncio.run(said_in(engine, visits)), strict=True):
            expected = reference(model_folder(family), PROMPTS[visit.prompt])
            assert said == expected[: len(said)]
            assert visit.leaves_after is not None or said == expected

    check()
    assert engine.stats().num_running == 0


@pytest.mark.parametrize("family", BATCHED)
async def test_rows_in_one_batch_say_what_generate_says(
    family: str, load_engine: Load, model_folder: ModelFolder
) -> None:
    engine = load_engine(family)
    assert "batching" in engine.info.capabilities

    generations = [await engine.generate(ask(prompt)) for prompt in PROMPTS]
    answers = await asyncio.gather(*map(collect, generations))

    assert [tokens_of(events) for events in answers] == [reference(model_folder(family), prompt) for prompt in PROMPTS]


async def test_a_model_that_cannot_be_batched_answers_all_the_same_and_does_not_claim_to_batch(
    load_engine: Load, model_folder: ModelFolder
) -> None:
    engine = load_engine("bloom")

    generations = [await engine.generate(ask(prompt)) for prompt in PROMPTS[:3]]
    answers = await asyncio.gather(*map(collect, generations))

    assert "batching" not in engine.info.capabilities
    assert [tokens_of(events) for events in answers] == [
        reference(model_folder("bloom"), prompt) for prompt in PROMPTS[:3]
    ]


async def test_embeddings_between_steps_do_not_disturb_them(load_engine: Load, model_folder: ModelFolder) -> None:
    engine = load_engine("llama")
    before = (await engine.embed(["a text"])).vectors

    answer, after = await asyncio.gather(collect(await engine.generate(ask(PROMPTS[0]))), engine.embed(["a text"]))

    assert tokens_of(answer) == reference(model_folder("llama"), PROMPTS[0])
    assert after.vectors[0] == pytest.approx(before[0], abs=1e-6)


async def test_a_beginning_that_was_computed_before_is_not_computed_again(load_engine: Load) -> None:
    engine = load_engine("qwen2", max_num_batched_tokens=32)
    prompt = tuple(range(50, 110))
    first = await collect(await engine.generate(ask(prompt)))
    another = (tokens_of(first)[0] + 1) % 400

    again = await collect(await engine.generate(ask((*prompt, another))))

    assert first[-1].usage.cached_tokens == 0  # type: ignore[union-attr]
    assert again[-1].usage.cached_tokens == len(prompt)  # type: ignore[union-attr]


async def test_rows_that_begin_alike_at_the_same_time_compute_it_once(load_engine: Load) -> None:
    engine = load_engine("gpt2", max_num_batched_tokens=32)
    prompt = tuple(range(300, 390))

    generations = [await engine.generate(ask((*prompt, number))) for number in (4, 5, 6)]
    answers = await asyncio.gather(*map(collect, generations))

    assert [events[-1].usage.cached_tokens for events in answers] == [0, 90, 90]  # type: ignore[union-attr]


async def test_a_row_that_must_leave_for_lack_of_memory_comes_back_and_loses_no_token(
    model_folder: ModelFolder,
) -> None:
    folder = model_folder("llama")
    one_row = 2 * 2 * 2 * 16 * 4 * 256 / 1024**3
    async with aclosing_engine(folder, max_model_len=256, kv_cache_gb=1.6 * one_row) as engine:
        generations = [await engine.generate(ask((*range(9, 100), number), max_tokens=120)) for number in (4, 5)]
        answers = await asyncio.gather(*map(collect, generations))

        alone = [
            await collect(await engine.generate(ask((*range(9, 100), number), max_tokens=120))) for number in (4, 5)
        ]

    assert [tokens_of(events) for events in answers] == [tokens_of(events) for events in alone]
    assert [counts(events) for events in answers] == [counts(events) for events in alone]


def counts(events: list[Any]) -> tuple[int, int]:
    return events[-1].usage.prompt_tokens, events[-1].usage.completion_tokens


def aclosing_engine(folder: Path, **options: Any) -> Any:
    class Loaded:
        async def __aenter__(self) -> TransformersEngine:
            spec = EngineSpec(engine="transformers", source=str(folder), device="cpu", options=options)
            self.engine = TransformersEngine(spec)
            try:
                await self.engine.load(lambda progress: None)
            except BaseException:
                await self.engine.close()
                raise
            return self.engine

        async def __aexit__(self, *error: object) -> None:
            await self.engine.close()

    return Loaded()


@pytest.fixture
async def engine(model_folder: ModelFolder) -> AsyncIterator[TransformersEngine]:
    async with aclosing_engine(model_folder("llama"), max_num_batched_tokens=64) as engine:
        yield engine


async def test_out_of_memory_makes_steps_smaller_and_fails_nobody(
    engine: TransformersEngine, model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def forward(model: Any, plan: Any, ids: list[int], kept: list[int]) -> torch.Tensor:
        sizes.append(len(ids))
        if len(ids) > 20:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return real_forward(model, plan, ids, kept)

    real_forward = batched_forward._forward
    monkeypatch.setattr(batched_forward, "_forward", forward)

    answers = await asyncio.gather(*[collect(await engine.generate(ask(prompt))) for prompt in PROMPTS[:3]])

    assert [tokens_of(events) for events in answers] == [
        reference(model_folder("llama"), prompt) for prompt in PROMPTS[:3]
    ]
    assert len([size for size in sizes if size > 20]) == 2
    stats = engine.stats()
    assert (stats.num_out_of_memory, stats.max_step_tokens) == (2, 64 // 4)


async def test_an_error_that_only_one_row_causes_ends_only_that_row(
    engine: TransformersEngine, model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(model: Any, plan: Any, ids: list[int], kept: list[int]) -> torch.Tensor:
        if 399 in ids:
            raise RuntimeError("a kernel refuses this token")
        return real_forward(model, plan, ids, kept)

    real_forward = batched_forward._forward
    monkeypatch.setattr(batched_forward, "_forward", forward)
    healthy = [await engine.generate(ask(prompt)) for prompt in PROMPTS[:2]]
    broken = await engine.generate(ask((399, 3)))

    answers = await asyncio.gather(*map(collect, [*healthy, broken]), return_exceptions=True)

    assert isinstance(answers[2], EngineFailed)
    assert (
        [tokens_of(events) for events in answers[:2]]
        == [  # type: ignore[arg-type]
            reference(model_folder("llama"), prompt) for prompt in PROMPTS[:2]
        ]
    )


async def test_an_engine_whose_step_does_not_end_gives_no_figures_so_that_its_daemon_restarts_it(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.engines.transformers.engine._LONGEST_TURN_S", 0.0)
    is_inside, may_end = threading.Event(), threading.Event()
    engine._steps.run(lambda: (is_inside.set(), may_end.wait()))
    await asyncio.to_thread(is_inside.wait)

    with pytest.raises(EngineFailed, match="A step has not ended"):
        engine.stats()

    may_end.set()


async def test_a_cancelled_row_frees_its_place_for_the_next(load_engine: Load) -> None:
    engine = load_engine("llama", max_concurrency=1)
    running: Generation = await engine.generate(ask(PROMPTS[0], max_tokens=1500, sampling=Sampling(seed=1)))
    assert isinstance(await anext(aiter(running)), Started)
    running.cancel()

    answer = await collect(await engine.generate(chat("Next", max_tokens=1)))

    assert answer
    with pytest.raises(RequestCancelled):
        await collect(running)


async def test_a_model_that_cannot_be_fed_in_pieces_is_refused(model_folder: ModelFolder) -> None:
    with pytest.raises(LoadError, match="cannot run models of this kind \\(mamba\\)"):
        async with aclosing_engine(model_folder("mamba")):
            pass


def test_a_model_for_which_there_is_too_little_memory_is_refused_with_a_remedy(model_folder: ModelFolder) -> None:
    spec = EngineSpec(
        engine="transformers", source=str(model_folder("llama")), device="cpu", options={"kv_cache_gb": 0.0005}
    )
    loaded = load_model(spec, lambda progress: None)

    with pytest.raises(LoadError, match="Set the option max_model_len to 1048 or less"):
        make_room(512, loaded, spec)


@pytest.mark.parametrize("asked", [0, 1, 10**6])
def test_a_context_that_the_model_does_not_have_is_refused(model_folder: ModelFolder, asked: int) -> None:
    spec = EngineSpec(
        engine="transformers", source=str(model_folder("llama")), device="cpu", options={"max_model_len": asked}
    )
    with pytest.raises(LoadError, match="max_model_len is"):
        load_model(spec, lambda progress: None)
