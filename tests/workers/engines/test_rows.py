"""One generation inside the model's thread, step by step."""

import asyncio

import pytest

from tests.workers.engines.tiny_models import make_tokenizer
from workers.engines.base import Sampling, Started, Usage
from workers.engines.transformers.detokenizer import Detokenizer
from workers.engines.transformers.outbox import Outbox
from workers.engines.transformers.row import Prepared, Row
from workers.engines.transformers.sampling import Chosen, Sampler
from workers.engines.transformers.speller import Speller
from workers.engines.transformers.text import AnswerText
from workers.errors import EngineFailed, RequestCancelled

TOKENIZER = make_tokenizer()
PROMPT = [5, 6, 7]


@pytest.fixture
async def outbox() -> Outbox:
    return Outbox(asyncio.get_running_loop())


@pytest.fixture
async def waiting_row(outbox: Outbox) -> Row:
    prepared = Prepared(
        prompt=PROMPT,
        resume=None,
        max_tokens=10,
        end_tokens=frozenset({2}),
        sampler=Sampler(sampling=Sampling(temperature=0), seed=0),
        text=AnswerText(Detokenizer(TOKENIZER, []), ()),
        speller=Speller(TOKENIZER),
    )
    return Row(prepared, outbox)


@pytest.fixture
async def row(waiting_row: Row) -> Row:
    waiting_row.seated(0)
    return waiting_row


def feed(row: Row, *tokens: int) -> list[object]:
    """Feed all that the row has, then let this token be chosen; and so on. What there is to tell."""
    events: list[object] = []
    for token in tokens:
        row.fed(row.num_unfed)
        events += row.accept(Chosen(token))
    return events


def test_the_prompt_is_fed_in_pieces_and_then_each_token_that_was_chosen(row: Row) -> None:
    assert row.next_input(2) == [5, 6]
    row.fed(2)
    assert (row.next_input(2), row.is_decoding) == ([7], False)

    feed(row, 40)

    assert (row.next_input(2), row.is_decoding) == ([40], True)


def test_usage_counts_the_prompt_as_it_is_fed(row: Row) -> None:
    row.fed(2)

    assert row.usage == Usage(prompt_tokens=2, completion_tokens=0)


def test_what_the_cache_held_already_counts_as_prompt_and_as_cached(waiting_row: Row) -> None:
    waiting_row.seated(2)

    assert waiting_row.usage == Usage(prompt_tokens=2, completion_tokens=0, cached_tokens=2)
    assert waiting_row.next_input(9) == [7]


def test_a_row_that_lost_its_place_is_fed_again_and_tells_nothing_twice(row: Row) -> None:
    feed(row, 40, 41)
    row.unseated()
    row.seated(0)

    assert row.next_input(9) == [5, 6, 7, 40, 41]
    assert row.usage == Usage(prompt_tokens=3, completion_tokens=2)
    assert [event.text for event in feed(row, 42)] == [TOKENIZER.decode([42])]  # type: ignore[attr-defined]


def test_the_token_that_ends_the_text_is_not_counted(row: Row) -> None:
    feed(row, 40, 2)

    assert row.is_done
    assert row.usage == Usage(prompt_tokens=3, completion_tokens=1)


def test_a_cancel_during_a_step_undoes_that_steps_token(row: Row) -> None:
    feed(row, 40)
    row.cancel()
    told = row.usage

    assert feed(row, 41) == []
    assert row.usage == told == Usage(prompt_tokens=3, completion_tokens=1)


async def test_whichever_end_comes_first_is_the_one_that_is_told(row: Row, outbox: Outbox) -> None:
    outbox.post(feed(row, 40))  # type: ignore[arg-type]
    row.cancel()
    row.fail(EngineFailed("too late"))

    events = outbox.read()
    assert isinstance(await anext(events), Started)
    await anext(events)
    with pytest.raises(RequestCancelled):
        await anext(events)
