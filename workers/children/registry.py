"""Child servers by the name of their engine."""

from collections.abc import Callable

from protocol.engines import ENGINE_KINDS, missing_options, mistyped_options, unknown_options
from workers.children import command, lightllm, llama_cpp, mlx, sglang, vllm
from workers.children.launch import Ground, Launch
from workers.engines.base import EngineSpec
from workers.engines.foreign_code import check_code
from workers.errors import LoadError

LAUNCHES: dict[str, Callable[[EngineSpec, Ground], Launch]] = {
    "vllm": vllm.launch,
    "sglang": sglang.launch,
    "lightllm": lightllm.launch,
    "llama.cpp": llama_cpp.launch,
    "mlx": mlx.launch,
    "command": command.launch,
}


def make_launch(spec: EngineSpec, ground: Ground) -> Launch:
    """How to start this one. Raises LoadError, also for what the server should have refused: it may be older."""
    _check(spec)
    return LAUNCHES[spec.engine](spec, ground)


def _check(spec: EngineSpec) -> None:
    kind = ENGINE_KINDS[spec.engine]
    wrong = [*unknown_options(kind, spec.options), *mistyped_options(kind, spec.options)]
    if wrong or (wrong := missing_options(kind, spec.options)):
        raise LoadError(f"The engine options are wrong for {spec.engine}: {', '.join(wrong)}.")
    check_code(spec)
    if spec.source.startswith("-") or (kind.needs_source and not spec.source):
        raise LoadError(f"{spec.engine} cannot load {spec.source!r}. Name a folder on this worker, or a hub id.")
    if spec.engine != "command" and not spec.program:
        raise LoadError(
            f"{spec.engine} is not installed on this worker. Install it beside the daemon, or in an environment "
            "of its own that the daemon is told of with --engine-envs."
        )
