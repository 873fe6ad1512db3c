"""The command line that each engine is started with."""

import pytest

from workers.children.launch import Ground
from workers.children.registry import make_launch
from workers.engines.base import EngineSpec
from workers.errors import LoadError

GROUND = Ground(port=4711, api_key="key")


def launch(engine: str, **given: object):
    spec = {"engine": engine, "source": "/models/m", "model": "qwen", "program": ("serve",), "max_concurrency": 16}
    return make_launch(EngineSpec(**(spec | given)), GROUND)


def test_vllm():
    options = {
        "max_model_len": 8192,
        "tool_call_parser": "hermes",
        "enforce_eager": True,
        "enable_prefix_caching": False,
    }
    given = launch("vllm", dtype="bfloat16", device="cuda:1", quantization="fp8", options=options)
    assert given.arguments == [
        "serve", "--model=/models/m", "--served-model-name=qwen", "--host=127.0.0.1", "--port=4711", "--dtype=bfloat16",
        "--max-num-seqs=16", "--enable-auto-tool-choice", "--quantization=fp8", "--max-model-len=8192",
        "--tool-call-parser=hermes", "--enforce-eager", "--no-enable-prefix-caching",
    ]  # fmt: skip
    assert given.environment == {"VLLM_API_KEY": "key", "CUDA_VISIBLE_DEVICES": "1"}
    assert (given.capabilities, given.context_length) == (
        ["chat", "completions", "tools", "tool_choice", "sampling", "logprobs", "choices", "echo",
         "structured_output", "grammar", "tokenize"],
        8192,
    )  # fmt: skip


def test_vllm_that_pools_makes_embeddings():
    assert launch("vllm", options={"runner": "pooling"}).capabilities == ["embeddings", "dimensions", "tokenize"]


def test_sglang():
    given = launch("sglang", quantization="awq", options={"tp_size": 2, "disable_radix_cache": False})
    assert given.arguments == [
        "serve", "--model-path=/models/m", "--served-model-name=qwen", "--host=127.0.0.1", "--port=4711",
        "--api-key=key", "--dtype=auto", "--max-running-requests=16", "--enable-metrics", "--quantization=awq",
        "--tp-size=2",
    ]  # fmt: skip
    assert given.capabilities == [
        "chat", "completions", "sampling", "logprobs", "choices", "echo", "structured_output"
    ]  # fmt: skip


def test_lightllm():
    given = launch("lightllm", dtype="float16", quantization="ao-int8wo", options={"tp": 2, "disable_cudagraph": True})
    assert given.arguments == [
        "serve", "--model_dir=/models/m", "--model_name=qwen", "--host=127.0.0.1", "--port=4711",
        "--running_max_req_size=16", "--data_type=float16", "--quant_type=ao-int8wo", "--tp=2", "--disable_cudagraph",
    ]  # fmt: skip
    assert (given.capabilities, given.context_length) == (["chat"], 16384)


def test_llama_cpp_s_own_server():
    given = launch("llama.cpp", source="/m/q.gguf", device="cpu", options={"ctx_size": 512, "flash_attn": True})
    assert given.arguments == [
        "serve", "--model", "/m/q.gguf", "--alias", "qwen", "--host", "127.0.0.1", "--port", "4711",
        "--parallel", "16", "--ctx-size", "8192", "--flash-attn", "on", "--metrics", "--jinja",
    ]  # fmt: skip
    assert given.environment == {"LLAMA_API_KEY": "key", "CUDA_VISIBLE_DEVICES": ""}
    assert (given.capabilities, given.context_length) == (["chat", "completions", "tools", "structured_output"], 512)


def test_llama_cpp_s_own_server_loads_from_a_hub_what_is_no_file():
    assert "--hf-repo" in launch("llama.cpp", source="ggml-org/gemma-3-1b-it-GGUF").arguments


def test_llama_cpp_s_own_server_for_embeddings():
    given = launch("llama.cpp", options={"embedding": True})
    assert "--embedding" in given.arguments
    assert given.capabilities == ["embeddings"]


def test_llama_cpp_python_s_server():
    given = launch("llama.cpp", program=("python", "-m", "llama_cpp.server"), options={"ctx_size": 512, "threads": 2})
    assert given.arguments == [
        "python", "-m", "llama_cpp.server", "--model", "/models/m", "--model_alias", "qwen", "--host", "127.0.0.1",
        "--port", "4711", "--interrupt_requests", "false", "--n_ctx", "512", "--n_threads", "2",
    ]  # fmt: skip
    assert (given.environment, given.context_length) == ({"API_KEY": "key"}, 512)


def test_llama_cpp_python_s_server_says_what_it_has_not():
    with pytest.raises(LoadError, match="llama-server"):
        launch("llama.cpp", program=("python", "-m", "llama_cpp.server"), options={"chat_template": "x"})


def test_mlx():
    given = launch("mlx", options={"max_tokens": 256})
    assert given.arguments == [
        "serve", "--model=/models/m", "--host=127.0.0.1", "--port=4711", "--decode-concurrency=16", "--max-tokens=256"
    ]  # fmt: skip
    assert given.model == "default_model"


def test_a_command_s_placeholders_are_filled_after_it_was_split():
    options = {"command": "serve '{source}' --port={port} --name {model} --key {api_key} --json {}"}
    given = launch("command", source="/my models/m", program=(), may_run_code=True, options=options)
    assert given.arguments == [
        "serve", "/my models/m", "--port=4711", "--name", "qwen", "--key", "key", "--json", "{}"
    ]  # fmt: skip
