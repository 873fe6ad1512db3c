"""Models that bring code of their own, or pickled weights: run where administrator and operator both allow it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.workers.engines.conftest import collect, text_of
from tests.workers.engines.tiny_models import save_model
from workers.engines.base import EngineSpec, Generate, Sampling
from workers.engines.transformers.engine import TransformersEngine
from workers.errors import LoadError

CODE = """\
from transformers import LlamaConfig, LlamaForCausalLM

class OwnConfig(LlamaConfig):
    model_type = "own"

class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""
AUTO_MAP = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}


@pytest.fixture(autouse=True)
def _code_is_kept_apart(tmp_path, monkeypatch):
    """transformers copies such code into its cache."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))


@pytest.fixture
def own_model(tmp_path: Path) -> Path:
    folder = save_model("llama", tmp_path / "own_model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "architectures": ["OwnModel"], "auto_map": AUTO_MAP}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(CODE)
    return folder


@pytest.fixture
def pickled_model(tmp_path: Path) -> Path:
    folder = save_model("llama", tmp_path / "pickled")
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    return folder


async def said(folder: Path, *, may_run_code: bool = True, **options: object) -> str:
    """What the model in this folder says to some tokens."""
    spec = EngineSpec(
        engine="transformers", source=str(folder), device="cpu", options=options, may_run_code=may_run_code
    )
    engine = TransformersEngine(spec)
    try:
        await engine.load(lambda progress: None)
        asked = Generate(request_id="r", prompt_tokens=[5, 6, 7], max_tokens=8, sampling=Sampling(temperature=0))
        return text_of(await collect(await engine.generate(asked)))
    finally:
        await engine.close()


@pytest.mark.parametrize("kind", ["own_model", "pickled_model"])
async def test_it_answers_where_it_is_trusted(kind, request, model_folder):
    assert await said(request.getfixturevalue(kind), trust_remote_code=True) == await said(model_folder("llama"))


@pytest.mark.parametrize("kind", ["own_model", "pickled_model"])
async def test_untrusted_it_is_not_loaded(kind, request):
    with pytest.raises(LoadError, match="could not be loaded"):
        await said(request.getfixturevalue(kind))


async def test_trust_is_not_enough_without_the_operators_leave(own_model):
    (own_model / "own.py").write_text("raise SystemExit('run')")

    with pytest.raises(LoadError, match=r"\(trust_remote_code\)\. Its operator can allow it"):
        await said(own_model, trust_remote_code=True, may_run_code=False)
