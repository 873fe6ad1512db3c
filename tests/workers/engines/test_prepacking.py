"""Linear layers prepacked for the CPU: they say what they said before."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.workers.engines.conftest import collect, loaded
from tests.workers.engines.test_adapters import merged, said, save_adapter
from tests.workers.engines.test_batching import PROMPTS, ask, reference, tokens_of
from workers.engines.base import EngineSpec
from workers.engines.transformers import prepacking
from workers.engines.transformers.loading import load_model
from workers.engines.transformers.prepacking import PrepackedLinear, prepack

ModelFolder = Callable[[str], Path]
IDS = torch.arange(3, 40)[None]


def plain_model(folder: Path, dtype: str = "float32") -> torch.nn.Module:
    spec = EngineSpec(engine="transformers", source=str(folder), device="cpu", dtype=dtype)
    return load_model(spec, lambda progress: None).model


def num_prepacked(model: torch.nn.Module) -> int:
    return sum(isinstance(module, PrepackedLinear) for module in model.modules())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says how long a layer takes as it is and prepacked, whatever the machine is busy with."""

    def say(plain_s: float, prepacked_s: float) -> None:
        monkeypatch.setattr(prepacking, "time_in_turns", lambda *forwards, num_rounds: [plain_s, prepacked_s])

    say(2.0, 1.0)
    return say


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2", "bloom"])
async def test_rows_of_a_prepacked_model_say_what_generate_says(family: str, model_folder: ModelFolder) -> None:
    async with loaded(model_folder(family)) as engine:
        generations = [await engine.generate(ask(prompt)) for prompt in PROMPTS]
        answers = await asyncio.gather(*map(collect, generations))

    assert [tokens_of(events) for events in answers] == [reference(model_folder(family), prompt) for prompt in PROMPTS]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("dtype", "max_error"), [("float32", 1e-4), ("bfloat16", 0.05)])
@torch.inference_mode()
def test_every_linear_layer_is_prepacked_and_the_logits_stay(
    dtype: str, max_error: float, model_folder: ModelFolder
) -> None:
    model = plain_model(model_folder("qwen2"), dtype)
    before = model(IDS).logits.float()

    assert prepack(model) == num_prepacked(model) == 2 * 7 + 1

    after = model(IDS).logits.float()
    assert (after - before).norm() < max_error * before.norm()


@pytest.mark.usefixtures("clock")
@torch.inference_mode()
def test_embeddings_that_are_the_output_layer_too_are_looked_up_as_before(model_folder: ModelFolder) -> None:
    model = plain_model(model_folder("gemma2"))
    before = model.get_input_embeddings()(IDS)

    prepack(model)

    assert isinstance(model.get_output_embeddings(), PrepackedLinear)
    assert torch.equal(model.get_input_embeddings()(IDS), before)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # PEFT asks models for it
@pytest.mark.usefixtures("clock")
async def test_adapters_work_on_top_of_prepacked_layers(model_folder: ModelFolder, tmp_path: Path) -> None:
    base = model_folder("llama")
    source = save_adapter(base, tmp_path)
    async with loaded(base) as engine:
        assert await engine.use_adapters({"a": source}) == {"a": ""}
        assert await said(engine, "a") == merged(base, source) != await said(engine, "")


@torch.inference_mode()
def test_layers_that_do_not_gain_stay_as_they_are(model_folder: ModelFolder, clock: Callable[..., None]) -> None:
    clock(1.0, 1.0)
    model = plain_model(model_folder("llama"))
    assert prepack(model) == num_prepacked(model) == 0


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    "private",
    [
        lambda *args: (_ for _ in ()).throw(AttributeError("no such operation")),
        lambda inputs, weight, *args: inputs.new_zeros(*inputs.shape[:-1], len(weight)),
        lambda inputs, weight, *args: inputs.new_full((*inputs.shape[:-1], len(weight)), float("nan")),
    ],
    ids=["missing", "wrong", "not_numbers"],
)
@torch.inference_mode()
def test_layers_stay_as_they_are_where_torch_prepacks_them_no_more_or_wrongly(
    private: Callable[..., object], model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", private)
    model = plain_model(model_folder("llama"))
    assert prepack(model) == num_prepacked(model) == 0
