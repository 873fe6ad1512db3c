"""llama.cpp, by its own `llama-server` or else by llama-cpp-python's server, which answers one request at a time."""

from collections.abc import Mapping
from typing import Any

from protocol.parameters import STRUCTURED
from workers.children.launch import Ground, Launch, visible_devices
from workers.engines.base import EngineSpec
from workers.errors import LoadError

PYTHON_MODULE = "llama_cpp.server"
_PYTHON_NAMES = {"ctx_size": "n_ctx", "threads": "n_threads", "batch_size": "n_batch"}
_PYTHON_CONTEXT_LENGTH = 2048


def launch(spec: EngineSpec, ground: Ground) -> Launch:
    """Raises LoadError for what llama-cpp-python's server does not have."""
    return _of_python(spec, ground) if PYTHON_MODULE in spec.program else _of_llama_server(spec, ground)


def _of_llama_server(spec: EngineSpec, ground: Ground) -> Launch:
    options = dict(spec.options)
    is_embedding = options.pop("embedding", False)
    own = {
        "model" if spec.source.endswith(".gguf") else "hf_repo": spec.source,
        "alias": spec.model,
        "host": "127.0.0.1",
        "port": ground.port,
        "parallel": spec.max_concurrency,
    }
    if "ctx_size" in options:
        # It divides what it is given among the requests that run at a time.
        options["ctx_size"] *= spec.max_concurrency
    if "flash_attn" in options:
        options["flash_attn"] = "on" if options["flash_attn"] else "off"
    switches = ["--metrics", "--embedding" if is_embedding else "--jinja"]
    return Launch(
        arguments=[*spec.program, *_pairs(own | options, separator="-"), *switches],
        environment={"LLAMA_API_KEY": ground.api_key, **visible_devices(spec.device)},
        capabilities=["embeddings"] if is_embedding else ["chat", "completions", "tools", STRUCTURED],
        shows_images=not is_embedding,
        context_length=spec.options.get("ctx_size", 0),
    )


def _of_python(spec: EngineSpec, ground: Ground) -> Launch:
    if lacking := sorted({"chat_template", "mmproj"} & set(spec.options)):
        raise LoadError(f"{lacking[0]} needs llama.cpp's own llama-server on this worker; here is llama-cpp-python.")
    own = {
        "model": spec.source,
        "model_alias": spec.model,
        "host": "127.0.0.1",
        "port": ground.port,
        # By default a new request cuts short the one that runs.
        "interrupt_requests": False,
    }
    options = {_PYTHON_NAMES.get(name, name): value for name, value in spec.options.items()}
    return Launch(
        arguments=[*spec.program, *_pairs(own | options, separator="_")],
        environment={"API_KEY": ground.api_key, **visible_devices(spec.device)},
        # Its other paths wait for the request that runs.
        health_path="/openapi.json",
        model=spec.model,
        capabilities=["chat", "completions", *(["embeddings"] if spec.options.get("embedding") else [])],
        context_length=spec.options.get("ctx_size", _PYTHON_CONTEXT_LENGTH),
    )


def _pairs(options: Mapping[str, Any], *, separator: str) -> list[str]:
    """`--name value`: llama-server takes the next argument as it is, and knows no `=`."""
    return [
        part
        for name, value in options.items()
        for part in (f"--{name.replace('_', separator)}", str(value).lower() if isinstance(value, bool) else str(value))
    ]
