"""What a daemon keeps of models that it has unloaded: loads one and unloads it again, some times over.

    python bench/unloading.py [--source demo] [--rounds 10]

For each round: the daemon's own memory and that of all processes below it, with the model ready and with it gone.
"""

import argparse
import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import psutil

from protocol.control import DesiredReplica, ReplicaPhase
from workers.process import socket_folder
from workers.programs import Programs
from workers.reconciler import Reconciler

_MIB = 2**20


async def measure(source: str, num_rounds: int) -> None:
    """Prints a line for each round."""
    changed = asyncio.Event()
    with socket_folder() as sockets:
        reconciler = Reconciler(sockets, unload_timeout_s=30, on_change=changed.set, programs=Programs())
        running = asyncio.create_task(reconciler.run())
        for number in range(num_rounds):
            wanted = DesiredReplica(replica_id=f"r{number}", model="measured", engine="transformers", source=source)
            reconciler.want([wanted])
            await _until(lambda: _is_ready(reconciler), changed)
            loaded = _memory()
            reconciler.want([])
            await _until(lambda: not reconciler.engines, changed)
            print(f"round {number + 1:2}: loaded {loaded}; unloaded {_memory()}", flush=True)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def _is_ready(reconciler: Reconciler) -> bool:
    return any(engine.phase is ReplicaPhase.READY for engine in reconciler.engines.values())


async def _until(condition: Callable[[], bool], changed: asyncio.Event) -> None:
    while not condition():
        changed.clear()
        await changed.wait()


def _memory() -> str:
    daemon = psutil.Process()
    below = daemon.children(recursive=True)
    engines = sum(process.memory_info().rss for process in below)
    return f"daemon {daemon.memory_info().rss / _MIB:.1f} MiB, {len(below)} below it {engines / _MIB:.1f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="demo", help="a model's folder, or demo")
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(measure(given.source, given.rounds))


if __name__ == "__main__":
    main()
