"""Embeddings of the transformers engine: mean-pooled, normalised, in order."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from tests.workers.engines.tiny_models import CONTEXT_LENGTH
from workers.engines.transformers.embedding import MAX_BATCH_TOKENS, batches
from workers.engines.transformers.engine import TransformersEngine
from workers.errors import BadRequest, ContextLengthExceeded

TEXTS = ["Hello", "The capital of France is Paris.", "你好", "x " * 300]


def reference(folder: Path, text: str) -> list[float]:
    """One text alone, without padding."""
    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder)(input_ids=ids).last_hidden_state
    return torch.nn.functional.normalize(hidden.mean(1), dim=-1)[0].tolist()


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
async def test_vectors_are_the_normalised_mean_whatever_the_batch(
    family: str, load_engine: Callable[..., TransformersEngine], model_folder: Callable[[str], Path]
) -> None:
    embeddings = await load_engine(family).embed(TEXTS)

    expected = [reference(model_folder(family), text) for text in TEXTS]
    torch.testing.assert_close(torch.tensor(embeddings.vectors), torch.tensor(expected), atol=1e-4, rtol=1e-4)


async def test_token_ids_count_as_they_are(load_engine: Callable[..., TransformersEngine]) -> None:
    embeddings = await load_engine("llama").embed([[5, 6, 7], [8]])

    assert embeddings.usage.prompt_tokens == 4


async def test_control_tokens_in_a_text_are_plain_text(load_engine: Callable[..., TransformersEngine]) -> None:
    embeddings = await load_engine("llama").embed(["<|im_start|>"])

    assert embeddings.usage.prompt_tokens > 1


async def test_an_encoder_makes_embeddings_only(load_engine: Callable[..., TransformersEngine]) -> None:
    assert load_engine("bert").info.capabilities == ["embeddings"]


async def test_token_ids_of_another_vocabulary_are_refused(load_engine: Callable[..., TransformersEngine]) -> None:
    with pytest.raises(BadRequest, match="Token id 100256") as refused:
        await load_engine("bert").embed([[3], [100_256]])

    assert refused.value.param == "input"


async def test_a_text_longer_than_the_context_is_refused(load_engine: Callable[..., TransformersEngine]) -> None:
    with pytest.raises(ContextLengthExceeded, match="input 1 has"):
        await load_engine("bert").embed(["short", "x y " * CONTEXT_LENGTH])


def test_batches_hold_every_text_once_and_stay_small() -> None:
    lengths = [3, 900, 1, 700, 5, 2000, 3000]

    groups = batches(lengths)

    assert sorted(position for group in groups for position in group) == list(range(len(lengths)))
    assert all(
        len(group) * max(lengths[position] for position in group) <= MAX_BATCH_TOKENS
        for group in groups
        if len(group) > 1
    )
