"""How an engine process comes to be: which program, in which surroundings, told what on its stdin; and what it says."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

from protocol import codec
from protocol.control import DesiredReplica
from workers.engines.base import EngineSpec
from workers.programs import Programs

_LONGEST_LINE = 1024 * 1024
_SECRET_VARIABLES = frozenset({"FLOTILLA_JOIN_TOKEN", "FLOTILLA_METRICS_TOKEN", "FLOTILLA_API_KEY"})
_ROOT = Path(__file__).resolve().parent.parent


async def start(replica: DesiredReplica, socket_path: Path, *, programs: Programs, is_child: bool) -> Process:
    """One of our own engines serves at `socket_path`; `is_child`: it is somebody else's server. Raises OSError."""
    program = ("workers.children",) if is_child else ("workers.engines", "--socket", str(socket_path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *program),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=_LONGEST_LINE,
        env=_environment(),
        # Ctrl-C goes to a whole process group: engines must live on until their requests are done.
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(codec.encode(_spec(replica, programs)) + b"\n")
    return process


async def lines_of(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """What it prints, line by line, to the end."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            # Longer than any line that means something; the reader has dropped it.
            continue
        if not line:
            return
        yield line.decode("utf-8", "replace").rstrip()


def _spec(replica: DesiredReplica, programs: Programs) -> EngineSpec:
    found = programs.find(replica.engine)
    return EngineSpec(
        engine=replica.engine,
        source=replica.source,
        dtype=replica.dtype,
        device=replica.device,
        max_concurrency=replica.max_concurrency,
        quantization=replica.quantization,
        options=replica.engine_options,
        model=replica.model,
        program=found.arguments if found else (),
        may_run_code=programs.may_run_code,
    )


def _environment() -> dict[str, str]:
    """The daemon's own, without its secret, and with what must be set before torch is imported."""
    inherited = {name: value for name, value in os.environ.items() if name not in _SECRET_VARIABLES}
    path = os.pathsep.join(filter(None, [str(_ROOT), inherited.get("PYTHONPATH")]))
    # With the default policy threads that wait burn a core: one busy neighbour halves the speed.
    return inherited | {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": path}
