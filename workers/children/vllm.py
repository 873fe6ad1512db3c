"""vLLM: `python -m vllm.entrypoints.openai.api_server`."""

from protocol.parameters import DIMENSIONS, GRAMMAR
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
        capabilities=[*_capabilities(spec), "tokenize"],
        shows_images=spec.options.get("runner") != "pooling",
        context_length=spec.options.get("max_model_len", 0),
    )


def _capabilities(spec: EngineSpec) -> list[str]:
    if spec.options.get("runner") == "pooling":
        return ["embeddings", DIMENSIONS]
    return [*generation(spec.options), GRAMMAR]
