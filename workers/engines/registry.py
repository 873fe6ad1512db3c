"""Engines by the name that an administrator chooses."""

from collections.abc import Callable

from workers.engines.base import Engine, EngineSpec
from workers.errors import LoadError


def _echo(spec: EngineSpec) -> Engine:
    from workers.engines.echo import EchoEngine

    return EchoEngine(spec)


def _transformers(spec: EngineSpec) -> Engine:
    # Imported only here: torch takes seconds and hundreds of megabytes, which the echo must not pay.
    from workers.engines.transformers.choice import engine_for

    return engine_for(spec)


ENGINES: dict[str, Callable[[EngineSpec], Engine]] = {"echo": _echo, "transformers": _transformers}


def make_engine(spec: EngineSpec) -> Engine:
    """The engine of this name, not loaded yet. Raises LoadError."""
    if spec.engine not in ENGINES:
        raise LoadError(f"There is no engine {spec.engine!r}; there are {', '.join(sorted(ENGINES))}.")
    if spec.max_concurrency < 1:
        raise LoadError(f"max_concurrency is {spec.max_concurrency}; it must be 1 or more.")
    return ENGINES[spec.engine](spec)
