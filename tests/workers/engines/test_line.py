"""The line before a model is bounded for all that it does, not for chats alone."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from workers.engines.limits import max_open_requests
from workers.engines.transformers.engine import TransformersEngine
from workers.errors import BadRequest, Overloaded

PATIENCE_S = 30
ACTS: dict[str, tuple[str, Callable[[TransformersEngine], Awaitable[Any]]]] = {
    "embed": ("llama", lambda engine: engine.embed(["Hello"])),
    "classify": ("bert_judge", lambda engine: engine.classify(["Hello"])),
    "rerank": ("bert_ranker", lambda engine: engine.rerank("Hello", ["you"])),
}


@pytest.fixture(params=ACTS)
def engine_and_act(request, load_engine):
    family, act = ACTS[request.param]
    return load_engine(family), act


async def test_who_comes_when_it_is_full_is_told_when_to_come_again(engine_and_act):
    engine, act = engine_and_act
    many = [act(engine) for _ in range(max_open_requests(engine._spec.max_concurrency) + 1)]

    *accepted, last = await asyncio.gather(*many, return_exceptions=True)

    assert not [answer for answer in accepted if isinstance(answer, Exception)]
    assert isinstance(last, Overloaded)
    assert last.retry_after_s >= 1


async def test_places_are_free_again_after_answers_and_refusals(engine_and_act):
    engine, act = engine_and_act
    num_places = max_open_requests(engine._spec.max_concurrency)
    for _ in range(num_places):
        await act(engine)
        if engine.info.capabilities[0] == "chat":
            with pytest.raises(BadRequest):
                await engine.embed([[10**6]])

    answers = await asyncio.gather(*(act(engine) for _ in range(num_places)), return_exceptions=True)

    assert not [answer for answer in answers if isinstance(answer, Exception)]


async def test_who_runs_and_who_waits_is_told_as_of_answers(engine_and_act):
    engine, act = engine_and_act
    has_begun, may_end = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        has_begun.set()
        may_end.wait()

    hook = engine._loaded.model.get_input_embeddings().register_forward_pre_hook(hold)
    try:
        asked = [asyncio.create_task(act(engine)) for _ in range(3)]
        assert await asyncio.to_thread(has_begun.wait, PATIENCE_S)
        assert load_of(engine) == (1, 2)
    finally:
        may_end.set()
        hook.remove()
    await asyncio.gather(*asked)
    assert load_of(engine) == (0, 0)


def load_of(engine: TransformersEngine) -> tuple[int, int]:
    stats = engine.stats()
    return stats.num_running, stats.num_waiting
