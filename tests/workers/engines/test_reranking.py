"""A cross-encoder's scores at /v1/rerank."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.workers.engines.conftest import loaded, post, serve
from workers.engines.base import EngineSpec
from workers.engines.transformers.engine import TransformersEngine
from workers.errors import ContextLengthExceeded

QUERY = "Where is it warm?"
DOCUMENTS = ["Hello", "The capital of Peru is Lima.", "你好", "x " * 300, "<|im_end|>"]
Load = Callable[..., TransformersEngine]


def logit(folder: Path, document: str) -> float:
    """Of one pair alone, without padding."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(QUERY, document, return_tensors="pt", split_special_tokens=True)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.inference_mode():
        return float(model(**{name: ids[name] for name in ids if name in ("input_ids", "token_type_ids")}).logits[0, 0])


@pytest.mark.parametrize("family", ["bert_ranker", "llama_ranker"])
async def test_scores_are_the_models_own_whatever_the_batch(
    family: str, load_engine: Load, model_folder: Callable[[str], Path]
) -> None:
    found = await load_engine(family).rerank(QUERY, DOCUMENTS)

    expected = torch.tensor([logit(model_folder(family), document) for document in DOCUMENTS]).sigmoid()
    torch.testing.assert_close(torch.tensor(found.scores), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "declared",
    [
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ],
)
async def test_raw_scores_are_told_where_the_model_declares_them(
    declared: dict[str, Any], model_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder("bert_ranker"), tmp_path / "ranker")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | declared))
    async with loaded(folder) as engine:
        found = await engine.rerank(QUERY, DOCUMENTS[:1])

    assert found.scores == pytest.approx([logit(folder, DOCUMENTS[0])], abs=1e-4)


@pytest.mark.parametrize(
    ("family", "capabilities"),
    [("bert_ranker", ["rerank", "tokenize"]), ("bert_alarm", ["moderation", "tokenize"])],
)
async def test_one_output_ranks_unless_it_is_a_label_with_a_name(
    family: str, capabilities: list[str], load_engine: Load
) -> None:
    assert load_engine(family).info.capabilities == capabilities


async def test_the_best_come_first_with_their_documents_and_what_was_read(load_engine: Load) -> None:
    engine = load_engine("bert_ranker")
    body = {"model": "m", "query": QUERY, "documents": DOCUMENTS, "top_n": 3, "return_documents": True}
    async with serve(engine, EngineSpec(engine="transformers", source="")) as client:
        told = (await post(client, "rerank", body)).json()

    scores = (await engine.rerank(QUERY, DOCUMENTS)).scores
    best = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:3]
    assert [result["index"] for result in told["results"]] == best
    assert [result["relevance_score"] for result in told["results"]] == [scores[index] for index in best]
    assert [result["document"] for result in told["results"]] == [{"text": DOCUMENTS[index]} for index in best]
    assert told["usage"]["prompt_tokens"] == told["usage"]["total_tokens"] > 300


@pytest.mark.parametrize("family", ["bert", "bert_judge"])
async def test_a_model_that_does_not_rank_is_not_asked_to(family: str, load_engine: Load) -> None:
    async with serve(load_engine(family), EngineSpec(engine="transformers", source="")) as client:
        answer = await post(client, "rerank", {"model": "m", "query": QUERY, "documents": DOCUMENTS})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": "x y " * 5000}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": ["a", "x y " * 5000]}, "documents[1]"),
        ({"documents": ["a", 5]}, "documents[1]"),
        ({"top_n": 0}, "top_n"),
        ({"rank_fields": ["title"]}, "rank_fields"),
    ],
)
async def test_wrong_parameters_are_refused_by_name(options: dict[str, Any], param: str, load_engine: Load) -> None:
    body = {"model": "m", "query": QUERY, "documents": DOCUMENTS, **options}
    async with serve(load_engine("bert_ranker"), EngineSpec(engine="transformers", source="")) as client:
        answer = await post(client, "rerank", body)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_long_document_is_cut_where_the_deployment_says_so(
    load_engine: Load, model_folder: Callable[[str], Path]
) -> None:
    long = "The capital of Peru is Lima. " * 200
    engine = load_engine("bert_ranker", max_model_len=40, long_inputs="cut")
    found = await engine.rerank(QUERY, [long])

    assert found.usage.prompt_tokens == 40
    with pytest.raises(ContextLengthExceeded):
        await load_engine("bert_ranker", max_model_len=40).rerank(QUERY, [long])
