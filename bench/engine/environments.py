"""A virtual environment for each kind of peer: no two agree on versions. Made once; a peer that cannot be installed is
left out, and a line says so.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_DONE = ".complete"


@dataclass(frozen=True, slots=True)
class Environment:
    """What is installed, one line after the other: torch comes alone, or others would bring its build for CUDA."""

    name: str
    lines: tuple[tuple[str, ...], ...]


def _pinned(package: str) -> str:
    """The version that our own worker runs."""
    lines = (_ROOT / "requirements" / "worker.txt").read_text().splitlines()
    return next(line.split()[0] for line in lines if line.startswith(f"{package}=="))


def _environments() -> list[Environment]:
    torch = (_pinned("torch"),)
    transformers = _pinned("transformers").replace("transformers", "transformers[serving]")
    old = ("transformers==4.57.6", "pydantic==1.10.27", "fastapi==0.112.4", "starlette==0.38.6")
    return [
        Environment("serve", (torch, (transformers, _pinned("accelerate")))),
        Environment("llama", (("xllamacpp==2026.10.11549", "gguf==0.19.0"),)),
        # The last release, with the last versions that it runs with.
        Environment("fastchat", (torch, ("fschat[model_worker]==0.2.36", *old))),
    ]


def prepare(root: Path) -> dict[str, Path]:
    """The Python of each environment that there is, by its name; those not there yet are made."""
    found = {}
    for environment in _environments():
        folder = root / environment.name
        if (folder / _DONE).exists() or _make(environment, folder):
            found[environment.name] = folder / "bin" / "python"
    return found


def _make(environment: Environment, folder: Path) -> bool:
    print(f"Installing {environment.name} in {folder} ...", file=sys.stderr)
    commands = [[sys.executable, "-m", "venv", str(folder)]]
    commands += [[str(folder / "bin" / "pip"), "install", "--quiet", *line] for line in environment.lines]
    for command in commands:
        if subprocess.run(command, check=False).returncode:
            print(f"Left out, since it could not be installed: {environment.name}", file=sys.stderr)
            return False
    (folder / _DONE).touch()
    return True
