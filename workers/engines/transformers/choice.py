"""Which engine runs a model: told by its configuration, before anything is loaded."""

from workers.engines.base import Engine, EngineSpec
from workers.engines.sources import resolve_source
from workers.engines.transformers.engine import TransformersEngine
from workers.engines.transformers.model_files import ModelFiles
from workers.engines.transformers.speech import SpeechEngine

SPEECH = frozenset({"whisper"})
"""Kinds of model that write down speech, with times."""


def engine_for(spec: EngineSpec) -> Engine:
    """The engine, not loaded yet. Raises LoadError."""
    config = ModelFiles(resolve_source(spec.source)).read("config.json") or {}
    return SpeechEngine(spec) if config.get("model_type") in SPEECH else TransformersEngine(spec)
