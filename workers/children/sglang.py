"""SGLang: `python -m sglang.launch_server`. It takes its key from the command line only."""

from workers.children.launch import Ground, Launch, flags, generation, visible_devices
from workers.engines.base import EngineSpec


def launch(spec: EngineSpec, ground: Ground) -> Launch:
    own = {
        "model_path": spec.source,
        "served_model_name": spec.model,
        "host": "127.0.0.1",
        "port": ground.port,
        "api_key": ground.api_key,
        "dtype": spec.dtype,
        "max_running_requests": spec.max_concurrency,
        "enable_metrics": True,
    }
    if spec.quantization:
        own["quantization"] = spec.quantization
    return Launch(
        arguments=[*spec.program, *flags(own), *flags(spec.options)],
        environment=visible_devices(spec.device),
        capabilities=["embeddings"] if spec.options.get("is_embedding") else generation(spec.options),
        shows_images=not spec.options.get("is_embedding"),
        context_length=spec.options.get("context_length", 0),
    )
