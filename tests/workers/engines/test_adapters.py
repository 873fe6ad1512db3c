"""LoRA adapters beside one base model: each request by its own, all in one batch."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.workers.engines.conftest import collect
from workers.engines.base import Embeddings, EngineSpec, Generate, Generation, Sampling, TextDelta
from workers.engines.transformers import adapter_roster
from workers.engines.transformers.engine import TransformersEngine
from workers.errors import ModelNotFound

PROMPT = list(range(40, 90))
MODULES = {"llama": ["q_proj", "v_proj", "down_proj"], "gpt2": ["c_attn"], "bloom": ["query_key_value"]}
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # PEFT asks models for it
Load = Callable[..., TransformersEngine]


def save_adapter(base: Path, folder: Path, *, seed: int = 1, **config: object) -> str:
    torch.manual_seed(seed)
    config = {"r": 4, "lora_alpha": 16, "target_modules": MODULES[base.name], "init_lora_weights": False} | config
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**config)).save_pretrained(folder)
    return str(folder)


def merged(base: Path, adapter: str) -> list[int]:
    """What the base model says with the adapter merged into its weights."""
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).merge_and_unload()
    return model.generate(torch.tensor([PROMPT]), max_new_tokens=12, do_sample=False, eos_token_id=None)[
        0, 50:
    ].tolist()


def asking(model: str) -> Generate:
    greedy = Sampling(temperature=0.0, ignores_end=True)
    return Generate(request_id="r", model=model, prompt_tokens=PROMPT, max_tokens=12, sampling=greedy)


async def read(generation: Generation) -> list[int]:
    return [token for event in await collect(generation) if isinstance(event, TextDelta) for token in event.tokens]


async def said(engine: TransformersEngine, model: str) -> list[int]:
    return await read(await engine.generate(asking(model)))


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("llama", {}),
        (
            "llama",
            {"use_rslora": True, "rank_pattern": {"v_proj": 2}, "alpha_pattern": {"layers.1.self_attn.q_proj": 5}},
        ),
        ("gpt2", {"fan_in_fan_out": True}),
        ("bloom", {}),
    ],
)
async def test_an_adapter_says_what_merged_weights_say(load_engine: Load, model_folder, tmp_path, family, config):
    engine, base = load_engine(family), model_folder(family)
    source = save_adapter(base, tmp_path, **config)
    assert await engine.use_adapters({"a": source}) == {"a": ""}
    assert await said(engine, "a") == merged(base, source) != await said(engine, "")


async def test_requests_of_several_adapters_and_of_none_share_a_batch_and_no_keys(
    load_engine: Load, model_folder, tmp_path
):
    engine, base = load_engine("llama"), model_folder("llama")
    sources = {name: save_adapter(base, tmp_path / name, seed=seed) for seed, name in enumerate("ab")}
    alone = await said(engine, "")
    await engine.use_adapters(sources)
    asked = ["a", "", "b", "a"]
    running = [asyncio.create_task(said(engine, name)) for name in asked]
    answers = dict(zip(asked, await asyncio.gather(*running), strict=True))
    assert answers == {"": alone} | {name: merged(base, source) for name, source in sources.items()}


async def test_embeddings_are_made_with_the_adapter_that_is_named(load_engine: Load, model_folder, tmp_path):
    engine = load_engine("llama")
    await engine.use_adapters({"a": save_adapter(model_folder("llama"), tmp_path)})
    base, adapted = await engine.embed([PROMPT]), await engine.embed([PROMPT], model="a")
    assert isinstance(base, Embeddings)
    assert base.vectors != adapted.vectors


async def test_an_adapter_that_is_taken_away_finishes_the_answers_it_has_begun(
    load_engine: Load, model_folder, tmp_path
):
    engine, base = load_engine("llama"), model_folder("llama")
    source = save_adapter(base, tmp_path / "a")
    await engine.use_adapters({"a": source})
    running = await engine.generate(asking("a"))
    assert await engine.use_adapters({"b": save_adapter(base, tmp_path / "b", seed=2)}) == {"b": ""}
    assert await read(running) == merged(base, source)


async def test_an_adapter_that_is_missing_or_was_taken_away_is_not_found(load_engine: Load, model_folder, tmp_path):
    engine = load_engine("llama")
    await engine.use_adapters({"a": save_adapter(model_folder("llama"), tmp_path / "a")})
    await engine.use_adapters({"b": str(tmp_path / "missing")})
    for name in "ab":
        with pytest.raises(ModelNotFound, match=f"'{name}' does not answer"):
            await said(engine, name)


async def test_a_base_model_that_was_renamed_while_it_runs_answers_to_any_of_its_names(model_folder, monkeypatch):
    engine = TransformersEngine(EngineSpec(engine="transformers", source=str(model_folder("llama")), model="base"))
    await engine.load(lambda progress: None)
    try:
        assert await said(engine, "renamed") == await said(engine, "base")
        await engine.use_adapters({"gone": "/missing"})
        await engine.use_adapters({})
        monkeypatch.setattr(adapter_roster, "_ASKED_FOR_UNTIL_S", 0)
        assert await said(engine, "gone") == await said(engine, "base")
    finally:
        await engine.close()


def spoil(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    file = folder / "adapter_model.safetensors"
    save_file(change(load_file(file)), file)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda weights: {name: tensor * float("nan") for name, tensor in weights.items()}, "no numbers"),
        (
            lambda weights: {
                name.replace("model.layers.0.self_attn.q_proj", "lm_head"): w for name, w in weights.items()
            },
            "It changes lm_head",
        ),
        (lambda weights: {name.replace("layers.0", "layers.7"): w for name, w in weights.items()}, "layers.7"),
        (lambda weights: {name: w[:, :3].contiguous() for name, w in weights.items()}, "does not fit"),
        (lambda weights: {**weights, "base_model.model.lm_head.bias": torch.zeros(1)}, "lm_head.bias"),
        (lambda weights: {}, "It holds nothing"),
    ],
)
async def test_a_broken_adapter_is_named_and_the_others_answer(load_engine: Load, model_folder, tmp_path, change, told):
    engine, base = load_engine("llama"), model_folder("llama")
    good = save_adapter(base, tmp_path / "good")
    save_adapter(base, tmp_path / "bad")
    spoil(tmp_path / "bad", change)
    found = await engine.use_adapters({"bad": str(tmp_path / "bad"), "good": good, "none": str(tmp_path / "none")})
    assert told in found["bad"]
    assert "could not be read" in found["none"]
    assert found["good"] == ""
    assert await said(engine, "good") == merged(base, good)
