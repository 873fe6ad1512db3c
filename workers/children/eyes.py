"""Whether the model that a child server was started with sees: servers of OpenAI's dialect do not tell."""

import json
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from workers.engines.base import EngineSpec

_CONFIG = "config.json"


def has_eyes(spec: EngineSpec) -> bool:
    """By its configuration, in its folder or in the hub's cache, where it lies once the server is ready."""
    path = _config_path(spec)
    try:
        return path is not None and "vision_config" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def _config_path(spec: EngineSpec) -> Path | None:
    if (folder := Path(spec.source)).is_dir():
        return folder / _CONFIG
    try:
        found = try_to_load_from_cache(spec.source, _CONFIG, revision=spec.options.get("revision"))
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None
