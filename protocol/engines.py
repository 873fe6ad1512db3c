"""The engines by the name that an administrator chooses, and what each may be told: known to the server, which checks
a deployment by it, and to the worker, which builds the command line from it.

An option is named as the engine's own flag is, with `_` for `-`. What an engine does not know is refused by name:
a misspelt option that is silently dropped would be found out under load.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MODELSCOPE = "modelscope:"
"""Before a source that lies on ModelScope instead of Hugging Face: modelscope:owner/name."""


class OptionType(StrEnum):
    """Of an option's value, in JSON's terms."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    STRING = "string"
    STRINGS = "list of strings"

    def fits(self, value: Any) -> bool:
        """Whether this value is of the type. JSON's true and false are no numbers, though Python's are."""
        if self is OptionType.STRINGS:
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        if isinstance(value, bool):
            return self is OptionType.BOOLEAN
        return isinstance(value, _PYTHON_TYPES[self])


_PYTHON_TYPES: dict[OptionType, tuple[type, ...]] = {
    OptionType.INTEGER: (int,),
    OptionType.NUMBER: (int, float),
    OptionType.BOOLEAN: (bool,),
    OptionType.STRING: (str,),
}


class LongInputs(StrEnum):
    """What becomes of a text that is to be embedded, labelled or ranked and is longer than the model's context."""

    REFUSE = "refuse"
    CUT = "cut"
    """Its beginning stands for it."""
    AVERAGE = "average"
    """The mean of its pieces' vectors does, each counting by its length."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "LongInputs":
        """As the deployment says; refused by default, as OpenAI does."""
        return cls(options.get("long_inputs", cls.REFUSE))


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind:
    """What can be said of a deployment that uses this engine."""

    options: Mapping[str, OptionType] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    """Options that must be given."""
    running_code: frozenset[str] = frozenset()
    """Options by which a deployment brings code of its own: the worker's operator must have allowed that."""
    quantizations: tuple[str, ...] = ()
    """How the weights may be quantized while they are loaded."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of options that take some strings only."""
    needs_source: bool = True
    has_dtype: bool = True
    """False: the number format is part of the source."""
    has_adapters: bool = False
    """Whether LoRA adapters can come and go while it runs."""
    is_child: bool = True
    """Whether it is a server program of somebody else's, which must be installed on the worker."""


_INTEGER, _NUMBER, _BOOLEAN = OptionType.INTEGER, OptionType.NUMBER, OptionType.BOOLEAN
_STRING, _STRINGS = OptionType.STRING, OptionType.STRINGS
_TRUST = frozenset({"trust_remote_code"})

ENGINE_KINDS: Mapping[str, EngineKind] = {
    "transformers": EngineKind(
        options={
            "max_model_len": _INTEGER,
            "max_num_batched_tokens": _INTEGER,
            "kv_cache_gb": _NUMBER,
            "max_memory_gb": _NUMBER,
            "long_inputs": _STRING,
            "max_audio_s": _INTEGER,
            "chat_template": _STRING,
            "trust_remote_code": _BOOLEAN,
            "compile": _BOOLEAN,
        },
        running_code=_TRUST,
        choices={"long_inputs": tuple(LongInputs)},
        quantizations=("int8", "nf4"),
        has_adapters=True,
        is_child=False,
    ),
    "echo": EngineKind(needs_source=False, has_adapters=True, is_child=False),
    "vllm": EngineKind(
        options={
            "max_model_len": _INTEGER,
            "gpu_memory_utilization": _NUMBER,
            "tensor_parallel_size": _INTEGER,
            "pipeline_parallel_size": _INTEGER,
            "data_parallel_size": _INTEGER,
            "distributed_executor_backend": _STRING,
            "max_num_batched_tokens": _INTEGER,
            "kv_cache_dtype": _STRING,
            "cpu_offload_gb": _NUMBER,
            "enforce_eager": _BOOLEAN,
            "enable_prefix_caching": _BOOLEAN,
            "load_format": _STRING,
            "revision": _STRING,
            "tokenizer": _STRING,
            "chat_template": _STRING,
            "tool_call_parser": _STRING,
            "reasoning_parser": _STRING,
            "runner": _STRING,
            "seed": _INTEGER,
            "trust_remote_code": _BOOLEAN,
        },
        running_code=_TRUST,
        quantizations=("awq", "bitsandbytes", "compressed-tensors", "fp8", "gguf", "gptq", "gptq_marlin", "modelopt"),
    ),
    "sglang": EngineKind(
        options={
            "context_length": _INTEGER,
            "mem_fraction_static": _NUMBER,
            "tp_size": _INTEGER,
            "pp_size": _INTEGER,
            "dp_size": _INTEGER,
            "chunked_prefill_size": _INTEGER,
            "max_total_tokens": _INTEGER,
            "kv_cache_dtype": _STRING,
            "attention_backend": _STRING,
            "schedule_policy": _STRING,
            "cpu_offload_gb": _INTEGER,
            "disable_radix_cache": _BOOLEAN,
            "disable_cuda_graph": _BOOLEAN,
            "load_format": _STRING,
            "revision": _STRING,
            "tokenizer_path": _STRING,
            "chat_template": _STRING,
            "tool_call_parser": _STRING,
            "reasoning_parser": _STRING,
            "is_embedding": _BOOLEAN,
            "random_seed": _INTEGER,
            "trust_remote_code": _BOOLEAN,
        },
        running_code=_TRUST,
        quantizations=("awq", "bitsandbytes", "compressed-tensors", "fp8", "gguf", "gptq", "gptq_marlin", "w8a8_int8"),
    ),
    "lightllm": EngineKind(
        options={
            "max_req_total_len": _INTEGER,
            "max_total_token_num": _INTEGER,
            "mem_fraction": _NUMBER,
            "tp": _INTEGER,
            "dp": _INTEGER,
            "batch_max_tokens": _INTEGER,
            "chunked_prefill_size": _INTEGER,
            "graph_max_batch_size": _INTEGER,
            "disable_cudagraph": _BOOLEAN,
            "nccl_port": _INTEGER,
            "tokenizer_mode": _STRING,
            "tool_call_parser": _STRING,
            "reasoning_parser": _STRING,
            "trust_remote_code": _BOOLEAN,
        },
        running_code=_TRUST,
        quantizations=("ao-int4wo-128", "ao-int8wo", "vllm-fp8w8a8", "vllm-fp8w8a8-b128", "vllm-w8a8"),
    ),
    "llama.cpp": EngineKind(
        options={
            "ctx_size": _INTEGER,
            "n_gpu_layers": _INTEGER,
            "threads": _INTEGER,
            "batch_size": _INTEGER,
            "flash_attn": _BOOLEAN,
            "chat_template": _STRING,
            "mmproj": _STRING,
            "embedding": _BOOLEAN,
        },
        has_dtype=False,
    ),
    "mlx": EngineKind(
        options={
            "adapter_path": _STRING,
            "draft_model": _STRING,
            "num_draft_tokens": _INTEGER,
            "max_tokens": _INTEGER,
            "chat_template": _STRING,
            "use_default_chat_template": _BOOLEAN,
            "trust_remote_code": _BOOLEAN,
        },
        running_code=_TRUST,
        has_dtype=False,
    ),
    "command": EngineKind(
        options={
            "command": _STRING,
            "health_path": _STRING,
            "model": _STRING,
            "capabilities": _STRINGS,
            "context_length": _INTEGER,
        },
        required=frozenset({"command"}),
        running_code=frozenset({"command"}),
        needs_source=False,
        has_dtype=False,
    ),
}


def unknown_options(kind: EngineKind, options: Iterable[str]) -> list[str]:
    """Those of these that the engine does not have."""
    return [name for name in options if name not in kind.options]


def mistyped_options(kind: EngineKind, options: Mapping[str, Any]) -> dict[str, OptionType]:
    """Those of the known options whose value is of another type, each with the type that it should have."""
    known = {name: kind.options[name] for name in options if name in kind.options}
    return {name: wanted for name, wanted in known.items() if not wanted.fits(options[name])}


def unfit_options(kind: EngineKind, options: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Those of the options that take some values only and have another one, each with those that it may have."""
    return {name: known for name, known in kind.choices.items() if name in options and options[name] not in known}


def missing_options(kind: EngineKind, options: Iterable[str]) -> list[str]:
    """What must be given and is not."""
    return sorted(kind.required.difference(options))


def brings_code(kind: EngineKind, options: Mapping[str, Any]) -> list[str]:
    """The options by which a worker would run code that is not its operator's."""
    return sorted(name for name in kind.running_code if options.get(name))
