"""Which engines this machine has: beside the daemon, in environments of their own, or as programs on the PATH."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from pathlib import Path

from protocol.engines import ENGINE_KINDS
from workers.children.llama_cpp import PYTHON_MODULE

_MODULES = {
    "vllm": ("vllm", "vllm.entrypoints.openai.api_server"),
    "sglang": ("sglang", "sglang.launch_server"),
    "lightllm": ("lightllm", "lightllm.server.api_server"),
    "llama.cpp": ("llama_cpp_python", PYTHON_MODULE),
    "mlx": ("mlx-lm", "mlx_lm.server"),
}
"""Distribution and module."""
_BINARIES = {"llama.cpp": "llama-server"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A child server that can be started: the beginning of its command line, and its version where that is known."""

    arguments: tuple[str, ...]
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Looked up anew each time: what was installed meanwhile is found."""

    envs: Sequence[Path] = ()
    """Roots of virtual environments, one for each engine that must not share its libraries with the daemon."""
    may_run_code: bool = False
    """Whether deployments may bring commands and code of their own."""

    def find(self, engine: str) -> Program | None:
        """The best there is: a program of its own before one in Python, the daemon's own environment before others."""
        binary = shutil.which(_BINARIES[engine]) if engine in _BINARIES else None
        if binary:
            return Program(arguments=(binary,))
        return next(self._in_python(*_MODULES[engine]), None) if engine in _MODULES else None

    def engines(self) -> dict[str, str]:
        """All that this worker can run: name → version, which may be unknown."""
        found = {name: program.version for name in _MODULES if (program := self.find(name))}
        if _is_installed("transformers"):
            found["transformers"] = version("transformers")
        if self.may_run_code:
            found["command"] = ""
        return {"echo": ""} | {name: found[name][:32] for name in ENGINE_KINDS if name in found}

    def _in_python(self, distribution: str, module: str) -> Iterator[Program]:
        if _is_installed(distribution):
            yield Program(arguments=(sys.executable, "-m", module), version=version(distribution))
        for env in self.envs:
            for found in _installed_in(env, distribution):
                python = str(env / "bin" / "python")
                yield Program(arguments=(python, "-m", module), version=found.version)


def _is_installed(distribution: str) -> bool:
    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False


def _installed_in(env: Path, distribution: str) -> Iterator[Distribution]:
    folders = [os.fspath(folder) for folder in env.glob("lib/python3*/site-packages")]
    return iter(distributions(name=distribution, path=folders))
