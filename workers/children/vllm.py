"""vLLM: `python -m vllm.entrypoints.openai.api_server`."""

from workers.children.launch import Ground, Launch, flags, generation, visible_devices
from workers.engines.base import EngineSpec


def launch(spec: EngineSpec, ground: Ground) -> Launch:
    own = {
        "model": spec.source,
        "served_model_name": spec.model,
        "host": "127.0.0.1",
        "port": ground.port,
        "dtype": spec.dtype,
        "max_num_seqs": spec.max_concurrency,
        # vLLM wants both: the parser alone is ignored.
        "enable_auto_tool_choice": "tool_call_parser" in spec.options,
    }
    if spec.quantization:
        own["quantization"] = spec.quantization
    return Launch(
        arguments=[*spec.program, *flags(own), *flags(spec.options, negation="no-")],
        # By environment, since everybody on the machine can read a command line.
        environment={"VLLM_API_KEY": ground.api_key, **visible_devices(spec.device)},
        capabilities=["embeddings"] if spec.options.get("runner") == "pooling" else generation(spec.options),
        context_length=spec.options.get("max_model_len", 0),
    )
