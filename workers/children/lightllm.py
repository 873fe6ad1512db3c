"""LightLLM: `python -m lightllm.server.api_server`. It knows no key, and no endpoint but chat."""

from workers.children.launch import Ground, Launch, flags, visible_devices
from workers.engines.base import EngineSpec

_DEFAULT_CONTEXT_LENGTH = 16384


def launch(spec: EngineSpec, ground: Ground) -> Launch:
    own = {
        "model_dir": spec.source,
        "model_name": spec.model,
        "host": "127.0.0.1",
        "port": ground.port,
        "running_max_req_size": spec.max_concurrency,
    }
    if spec.dtype != "auto":
        own["data_type"] = spec.dtype
    if spec.quantization:
        own["quant_type"] = spec.quantization
    return Launch(
        arguments=[*spec.program, *flags(own | spec.options, separator="_")],
        environment=visible_devices(spec.device),
        capabilities=["chat", *(["tools"] if "tool_call_parser" in spec.options else [])],
        context_length=spec.options.get("max_req_total_len", _DEFAULT_CONTEXT_LENGTH),
    )
