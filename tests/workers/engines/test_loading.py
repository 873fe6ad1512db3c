"""What is loaded, where and how; and what is refused with a reason."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import infer_auto_device_map
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from tests.workers.engines.tiny_models import save_model
from workers.engines.base import EngineSpec, Sampling
from workers.engines.sources import resolve_source
from workers.engines.transformers.devices import (
    capped,
    choose_device_map,
    choose_dtype,
    choose_max_memory,
    tune_num_threads,
)
from workers.engines.transformers.loading import LoadedModel, load_model
from workers.errors import LoadError

GIB = 1024**3


def load(source: object, **options: Any) -> LoadedModel:
    spec = EngineSpec(engine="transformers", source=str(source), **{"device": "cpu", **options})
    return load_model(spec, lambda progress: None)


def test_progress_grows_with_the_weights(model_folder: Callable[[str], Path]) -> None:
    told: list[float] = []

    load_model(EngineSpec(engine="transformers", source=str(model_folder("llama")), device="cpu"), told.append)

    assert told == sorted(told)
    assert len(told) > 10
    assert 0 < told[0] < 0.2 < 0.8 < told[-1] <= 1


@pytest.mark.parametrize("recommended", [{"do_sample": True, "temperature": 0.6, "top_p": 0.8}])
def test_the_models_own_sampling_settings_are_the_default(tmp_path: Path, recommended: dict[str, Any]) -> None:
    save_model("llama", tmp_path)
    GenerationConfig(eos_token_id=[1, 2], **recommended).save_pretrained(tmp_path)

    loaded = load(tmp_path)

    assert loaded.default_sampling == Sampling(temperature=0.6, top_p=0.8)
    assert loaded.end_tokens == {1, 2}


def test_a_model_that_says_not_to_sample_is_greedy_by_default(tmp_path: Path) -> None:
    save_model("llama", tmp_path)
    GenerationConfig(eos_token_id=2, do_sample=False).save_pretrained(tmp_path)

    assert load(tmp_path).default_sampling.temperature == 0


def test_a_model_that_says_nothing_samples_at_one(model_folder: Callable[[str], Path]) -> None:
    assert load(model_folder("gpt2")).default_sampling == Sampling(temperature=1, top_p=1)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    save_model("llama", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")

    with pytest.raises(LoadError, match="safetensors"):
        load(tmp_path)


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    save_model("llama", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "surprise", "auto_map": {"AutoConfig": "surprise.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "surprise.py").write_text("raise SystemExit('run')")

    with pytest.raises(LoadError, match="could not be loaded"):
        load(tmp_path)


@pytest.mark.parametrize("source", ["", "/no/such/folder", "./no", "~/no/such", "a/b/c"])
def test_a_source_that_is_not_there_is_refused(source: str) -> None:
    with pytest.raises(LoadError):
        resolve_source(source)


def test_a_hub_id_is_left_to_the_hub() -> None:
    assert resolve_source("Qwen/Qwen2.5-0.5B-Instruct") == "Qwen/Qwen2.5-0.5B-Instruct"


@pytest.mark.parametrize("device", ["cuda:99", "cpu:1", "tpu", "cuda:x", ""])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(LoadError, match="no device"):
        choose_device_map(device)


def test_each_gpu_takes_no_more_weights_than_it_may_and_the_machine_takes_the_rest() -> None:
    with torch.device("meta"):
        model = LlamaForCausalLM(
            LlamaConfig(hidden_size=64, intermediate_size=256, num_hidden_layers=12, vocab_size=64)
        )
    size = model.get_memory_footprint()
    max_memory = capped({0: GIB, 1: GIB, "cpu": GIB}, 0.4 * size / GIB)

    placed = infer_auto_device_map(model, max_memory, no_split_module_classes=["LlamaDecoderLayer"])

    taken = Counter[int | str]()
    for name, device in placed.items():
        taken[device] += sum(weight.nbytes for weight in model.get_submodule(name).parameters())
    assert 0 < taken[0] <= 0.4 * size
    assert 0 < taken[1] <= 0.4 * size
    assert 0 < taken["cpu"] < GIB


def test_a_cap_beyond_what_is_free_leaves_room_for_a_step() -> None:
    assert capped({0: 1000, "cpu": 500}, 1) == {0: 900, "cpu": 450}


@pytest.mark.parametrize(("device", "cap", "said"), [("cpu", 8, "device to auto"), ("auto", 0, "more than 0")])
def test_a_cap_that_makes_no_sense_is_refused(
    model_folder: Callable[[str], Path], device: str, cap: float, said: str
) -> None:
    with pytest.raises(LoadError, match=said):
        load(model_folder("llama"), device=device, options={"max_memory_gb": cap})


def test_a_cap_is_no_hindrance_where_there_is_no_gpu() -> None:
    spec = EngineSpec(engine="transformers", source="demo", options={"max_memory_gb": 1})
    assert choose_max_memory(spec, {"": "cpu"}) is None


@pytest.mark.parametrize("dtype", ["float16", "int3"])
def test_a_dtype_that_a_cpu_cannot_serve_is_refused(model_folder: Callable[[str], Path], dtype: str) -> None:
    with pytest.raises(LoadError, match="float16"):
        load(model_folder("llama"), dtype=dtype)


@pytest.mark.parametrize(("dtype", "expected"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_small_model_runs_in_fp32_unless_told_otherwise(
    model_folder: Callable[[str], Path], dtype: str, expected: torch.dtype
) -> None:
    assert load(model_folder("llama"), dtype=dtype).model.dtype == expected


def test_a_cpu_never_gets_fp16_by_itself() -> None:
    assert choose_dtype("auto", {"": "cpu"}, lambda: 7_000_000_000) in (torch.float32, torch.bfloat16)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("faster", [1, 2])
def test_the_faster_number_of_threads_is_kept_also_where_the_machine_was_busy_for_a_moment(
    faster: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturbances = iter([9.0] * 5)

    def time_forward(forward: Callable[[], None]) -> float:
        forward()
        return next(disturbances, 0.0) + (1.0 if torch.get_num_threads() == faster else 1.5)

    monkeypatch.setattr("workers.engines.transformers.devices._timed", time_forward)
    assert tune_num_threads(lambda: None) == torch.get_num_threads() == faster
