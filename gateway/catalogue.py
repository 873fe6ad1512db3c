"""The models that callers may name, from memory."""

from fleet.snapshot import ModelEntry
from gateway.errors import ModelNotFound
from gateway.runtime import current


def known_models() -> list[ModelEntry]:
    """Every model that is deployed, by name, whether or not a replica is ready."""
    models = current().poller.latest.fleet.models
    return [models[name] for name in sorted(models)]


def known_model(name: str) -> ModelEntry:
    """Raises ModelNotFound."""
    entry = current().poller.latest.model(name)
    if entry is None:
        raise ModelNotFound(name)
    return entry
