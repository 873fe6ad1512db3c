"""One generation inside the model's thread, step by step."""

import asyncio

import pytest
import torch

from tests.workers.engines.tiny_models import make_tokenizer
from workers.engines.base import Sampling, Started, Usage
from workers.engines.transformers.detokenizer import Detokenizer
from workers.engines.transformers.outbox import Outbox
from workers.engines.transformers.row import Prepared, Row
from workers.engines.transformers.sampling import Sampler
from workers.engines.transformers.text import AnswerText
from workers.errors import EngineFailed, RequestCancelled

TOKENIZER = make_tokenizer()
PROMPT = [5, 6, 7]


@pytest.fixture
async def outbox() -> Outbox:
    return Outbox(asyncio.get_running_loop())


@pytest.fixture
async def row(outbox: Outbox) -> Row:
    prepared = Prepared(
        prompt=PROMPT,
        resume=None,
        max_tokens=10,
        end_tokens=frozenset({2}),
        sampler=Sampler(Sampling(temperature=0), torch.device("cpu")),
        text=AnswerText(Detokenizer(TOKENIZER, []), (), has_tools=False),
    )
    return Row(prepared, outbox)


def logits(token: int) -> torch.Tensor:
    """Those that choose this token."""
    return torch.nn.functional.one_hot(torch.tensor(token), len(TOKENIZER)).float()


def test_the_prompt_is_fed_in_pieces_and_then_each_token_that_was_chosen(row: Row) -> None:
    fed = []
    for token in (40, 50, 60):
        fed.append(row.next_input(2))
        row.fed(len(fed[-1]), logits(token))

    assert fed == [[5, 6], [7], [50]]
    assert row.next_input(2) == [60]


def test_usage_counts_the_prompt_as_it_is_fed(row: Row) -> None:
    row.fed(2, logits(40))

    assert row.is_prefilling
    assert row.usage == Usage(prompt_tokens=2, completion_tokens=0)


def test_the_token_that_ends_the_text_is_not_counted(row: Row) -> None:
    row.fed(3, logits(40))
    row.fed(1, logits(2))

    assert row.is_done
    assert row.usage == Usage(prompt_tokens=3, completion_tokens=1)


def test_a_cancel_during_a_step_undoes_that_steps_token(row: Row) -> None:
    row.fed(3, logits(40))
    row.next_input(1)
    row.cancel()
    told = row.usage

    row.fed(1, logits(41))

    assert row.usage == told == Usage(prompt_tokens=3, completion_tokens=1)


async def test_whichever_end_comes_first_is_the_one_that_is_told(row: Row, outbox: Outbox) -> None:
    row.fed(3, logits(40))
    row.cancel()
    row.fail(EngineFailed("too late"))

    events = outbox.read()
    assert isinstance(await anext(events), Started)
    await anext(events)
    with pytest.raises(RequestCancelled):
        await anext(events)
