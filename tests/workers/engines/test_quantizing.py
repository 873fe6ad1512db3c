"""Weights in 8 and 4 bits: smaller, and the answers nearly the same."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.workers.engines.conftest import chat, collect, text_of
from workers.engines.base import EngineSpec, Sampling
from workers.engines.transformers.engine import TransformersEngine
from workers.engines.transformers.loading import LoadedModel, load_model
from workers.errors import LoadError

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # PEFT asks models for it


def load(quantization: str) -> LoadedModel:
    spec = EngineSpec(engine="transformers", source="demo", device="cpu", quantization=quantization)
    return load_model(spec, lambda progress: None)


@pytest.fixture(scope="module")
def whole() -> LoadedModel:
    return load("")


@pytest.mark.parametrize(("quantization", "share", "error"), [("int8", 0.5, 0.05), ("nf4", 0.4, 0.25)])
def test_a_quantized_model_is_smaller_and_close_to_the_whole_one(whole, quantization, share, error):
    ids = torch.tensor([whole.tokenizer("What is the capital of France?")["input_ids"]])
    quantized = load(quantization).model
    with torch.inference_mode():
        expected, given = whole.model(ids).logits, quantized(ids).logits
    assert quantized.get_memory_footprint() < share * whole.model.get_memory_footprint()
    assert (given - expected).norm() < error * (expected - expected.mean(-1, keepdim=True)).norm()


async def test_a_quantized_model_answers_in_a_batch_and_by_adapters(whole, tmp_path: Path):
    config = LoraConfig(target_modules=["q_proj"], init_lora_weights=True)
    get_peft_model(load("").model, config).save_pretrained(tmp_path)
    engine = TransformersEngine(EngineSpec(engine="transformers", source="demo", device="cpu", quantization="int8"))
    info = await engine.load(lambda progress: None)
    try:
        assert "batching" in info.capabilities
        assert await engine.use_adapters({"a": str(tmp_path)}) == {"a": ""}
        question = chat("What is the capital of France?", model="a", sampling=Sampling(temperature=0.0))
        assert "Paris" in text_of(await collect(await engine.generate(question)))
    finally:
        await engine.close()


def test_an_unknown_quantization_is_named_with_those_there_are():
    with pytest.raises(LoadError, match="no quantization 'int3'; choose int8 or nf4"):
        load("int3")
