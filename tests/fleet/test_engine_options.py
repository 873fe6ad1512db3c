"""What a deployment may tell its engine; each mistake is named at its field, with what to write instead."""

import pytest
from django.core.exceptions import ValidationError

from fleet.engine_options import faults_of
from fleet.models import Deployment, EngineName, LanguageModel
from protocol.engines import ENGINE_KINDS

COMMAND = {"command": "serve --port {port}"}


def faults(engine, **given):
    return faults_of(**{"engine": engine, "source": "/m", "dtype": "auto", "quantization": "", "options": {}} | given)


def test_every_engine_that_can_be_chosen_is_known_and_every_known_one_can_be_chosen():
    assert set(EngineName.values) == set(ENGINE_KINDS)


@pytest.mark.parametrize(
    ("engine", "given"),
    [
        ("vllm", {"options": {"max_model_len": 4096, "gpu_memory_utilization": 1, "enforce_eager": True}}),
        ("vllm", {"quantization": "fp8", "dtype": "bfloat16"}),
        ("llama.cpp", {"source": "/m/model.gguf", "options": {"ctx_size": 4096}}),
        ("command", {"source": "", "options": COMMAND | {"capabilities": ["chat", "tools"]}}),
        ("echo", {"source": ""}),
        ("transformers", {"options": {"long_inputs": "average", "max_memory_gb": 20}}),
        ("transformers", {"source": "modelscope:Qwen/Qwen2.5-0.5B-Instruct"}),
    ],
)
def test_what_an_engine_takes_is_accepted(engine, given):
    assert faults(engine, **given) == {}


@pytest.mark.parametrize(
    ("engine", "given", "field", "said"),
    [
        ("vllm", {"source": ""}, "source", "Say what to load"),
        ("vllm", {"source": "--trust-remote-code"}, "source", "cannot begin"),
        ("sglang", {"source": "demo"}, "source", "transformers only"),
        ("vllm", {"source": "modelscope:a/b"}, "source", "Only the engine transformers"),
        ("transformers", {"source": "modelscope:qwen"}, "source", "modelscope:owner/name"),
        ("llama.cpp", {"dtype": "float16"}, "dtype", "Leave “auto”"),
        ("vllm", {"quantization": "int3"}, "quantization", "write one of: awq"),
        ("mlx", {"quantization": "awq"}, "quantization", "does not quantize"),
        ("vllm", {"options": {"max_len": 1}}, "engine_options", "no option “max_len”. It has: max_model_len, gpu_"),
        ("vllm", {"options": {"max_model_len": "4k"}}, "engine_options", "of the type integer"),
        ("vllm", {"options": {"max_model_len": True}}, "engine_options", "of the type integer"),
        ("vllm", {"options": {"enforce_eager": 1}}, "engine_options", "of the type boolean"),
        ("vllm", {"options": []}, "engine_options", "a JSON object"),
        ("transformers", {"options": {"long_inputs": "chop"}}, "engine_options", "may be: refuse, cut, average"),
        ("command", {}, "engine_options", "“command” is missing"),
        ("command", {"options": {"command": "serve"}}, "engine_options", "must contain {port}"),
        ("command", {"options": COMMAND | {"capabilities": ["speech"]}}, "engine_options", "may contain: chat"),
        ("gpt4all", {}, "engine", "Choose one of"),
    ],
)
def test_a_mistake_is_named_at_its_field(engine, given, field, said):
    assert said in " ".join(faults(engine, **given)[field])


def test_every_door_refuses_what_the_form_refuses(db):
    deployment = Deployment(model=LanguageModel.objects.create(name="m"), engine="vllm", engine_options={"x": 1})
    with pytest.raises(ValidationError) as refused:
        deployment.full_clean()
    assert {"source", "engine_options"} <= refused.value.message_dict.keys()
