"""Decode steps without HTTP, ours and llama.cpp's in turns, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.engine.models import gguf_file, model_folder
from bench.engine.plan import CLIENTS
from bench.engine.roofline import Roofline
from bench.engine.servers import LLAMA_DTYPES, OURS

LLAMA = "llama.cpp"
_ROOT = Path(__file__).parents[2]
_LLAMA_DECODE = Path(__file__).with_name("llama_decode.py")
Decoded = dict[tuple[str, str], list[dict[int, float]]]
"""Seconds of a step by the number of its rows, a mapping for each round; by (engine, number format)."""


def decode_steps(pythons: Mapping[str, Path], models: Path, *, model: str, num_steps: int, num_rounds: int) -> Decoded:
    """Of each engine in each number format."""
    decoded: Decoded = {}
    for _ in range(num_rounds):
        for key, command in _commands(pythons, models, model, num_steps):
            steps = {int(rows): seconds for rows, seconds in _run(command).items()}
            decoded.setdefault(key, []).append(steps)
    return decoded


def measure_roofline() -> Roofline:
    """In a process of its own, whose threads are gone afterwards."""
    return Roofline(**_run([sys.executable, "-m", "bench.engine.roofline"]))


def _commands(pythons: Mapping[str, Path], models: Path, model: str, num_steps: int):
    settings = [str(num_steps), *map(str, CLIENTS)]
    for dtype, short in LLAMA_DTYPES.items():
        folder = str(model_folder(models, model))
        yield (OURS, dtype), [sys.executable, "-m", "bench.engine.decode", folder, dtype, *settings]
        if python := pythons.get("llama"):
            file = str(gguf_file(models, model, short, python))
            yield (LLAMA, dtype), [str(python), str(_LLAMA_DECODE), file, *settings]


def _run(command: list[str]) -> dict:
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    finished = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{finished.stderr[-2000:]}")
    return json.loads(finished.stdout)
