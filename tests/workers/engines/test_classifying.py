"""A classifier's labels as OpenAI's moderations."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from openai.types import ModerationCreateResponse
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.workers.engines.conftest import post, serve
from workers.engines.base import Classifications, EngineSpec, Usage
from workers.engines.openai.moderations import ModerationParameters, moderation_reply
from workers.engines.transformers.engine import TransformersEngine
from workers.errors import ContextLengthExceeded

TEXTS = ["Hello", "The capital of France is Paris.", "你好", "x " * 300]
Load = Callable[..., TransformersEngine]


def reference(folder: Path, text: str, *, is_multi_label: bool) -> list[float]:
    """One text alone, without padding."""
    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logits = AutoModelForSequenceClassification.from_pretrained(folder)(input_ids=ids).logits[0]
    return (logits.sigmoid() if is_multi_label else logits.softmax(-1)).tolist()


@pytest.mark.parametrize(
    ("family", "is_multi_label"), [("bert_judge", False), ("bert_labeller", True), ("llama_judge", False)]
)
async def test_scores_are_the_models_own_whatever_the_batch(
    family: str, is_multi_label: bool, load_engine: Load, model_folder: Callable[[str], Path]
) -> None:
    found = await load_engine(family).classify(TEXTS)

    expected = [reference(model_folder(family), text, is_multi_label=is_multi_label) for text in TEXTS]
    scores = torch.tensor([list(one.values()) for one in found.scores])
    torch.testing.assert_close(scores, torch.tensor(expected), atol=1e-4, rtol=1e-4)
    assert list(found.scores[0]) == ["neutral", "toxic", "threat"]


async def test_a_classifier_does_nothing_else(load_engine: Load) -> None:
    assert load_engine("bert_judge").info.capabilities == ["moderation", "tokenize"]


async def test_a_text_longer_than_the_context_is_refused_by_its_place(load_engine: Load) -> None:
    with pytest.raises(ContextLengthExceeded):
        await load_engine("bert_judge").classify(["fine", "x " * 10_000])


async def test_openais_client_gets_openais_shape(load_engine: Load) -> None:
    async with serve(load_engine("bert_labeller"), EngineSpec(engine="transformers", source="")) as client:
        answer = await post(client, "moderations", {"model": "m", "input": TEXTS})

    told = ModerationCreateResponse.model_validate(answer.json(), strict=True)
    assert len(told.results) == len(TEXTS)
    assert answer.json()["usage"]["prompt_tokens"] > len(TEXTS)


@pytest.mark.parametrize(
    ("scores", "flagged"),
    [
        ({"neutral": 0.9, "toxic": 0.1}, False),
        ({"neutral": 0.2, "toxic": 0.8}, True),
        ({"not-toxic": 0.99}, False),
        ({"LABEL_0": 0.9, "LABEL_1": 0.1}, False),
        ({"LABEL_0": 0.1, "LABEL_1": 0.9}, True),
    ],
)
def test_a_label_that_means_no_harm_flags_nothing(scores: dict[str, float], flagged: bool) -> None:
    found = Classifications(scores=[scores], usage=Usage())
    reply = moderation_reply(ModerationParameters(model="m", input="x"), found, "1")
    assert reply["results"][0]["flagged"] is flagged
    assert reply["results"][0]["categories"].keys() >= scores.keys()


async def test_a_model_without_labels_says_so(echo_client: openai.AsyncOpenAI) -> None:
    answer = await post(echo_client, "moderations", {"model": "m", "input": "a"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


@pytest.mark.parametrize("value", [[], "", ["a", ""], ["a"] * 257, [1], None])
async def test_wrong_inputs_are_refused_by_name(load_engine: Load, value: Any) -> None:
    async with serve(load_engine("bert_judge"), EngineSpec(engine="transformers", source="")) as client:
        answer = await post(client, "moderations", {"model": "m", "input": value})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith("input")
