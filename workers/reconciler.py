"""What the server wants against what is loaded: the rule, and its application."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from protocol.control import DesiredReplica, ReplicaPhase, ReplicaStatus
from workers.engine_process import EngineProcess
from workers.hardware import free_memory
from workers.idling import Idling
from workers.programs import Programs

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    replica: DesiredReplica


@dataclass(frozen=True, slots=True, kw_only=True)
class Unload:
    replica_id: str


def plan(desired: Mapping[str, DesiredReplica], loaded: Iterable[str]) -> list[Unload | Load]:
    """A replica never changes, but for its adapters and when it may sleep: it is replaced by another. Unloads come
    first, but nobody waits for them: draining may take minutes, and where memory is short the server wants the new one
    only when the old one is gone."""
    kept = set(loaded)
    unloads = [Unload(replica_id=replica_id) for replica_id in sorted(kept - desired.keys())]
    return [*unloads, *(Load(replica=replica) for replica_id, replica in desired.items() if replica_id not in kept)]


class Reconciler:
    """Owns the engine processes. Sockets lie in `socket_dir`; `on_change` is called when the server should hear.
    `free_memory`: of this machine, in bytes by device; it may block."""

    def __init__(
        self,
        socket_dir: Path,
        *,
        unload_timeout_s: float,
        on_change: Callable[[], None],
        programs: Programs,
        free_memory: Callable[[], dict[str, int]] = free_memory,
    ) -> None:
        self.engines: dict[str, EngineProcess] = {}
        """By replica id; a replica stays here until its process has ended."""
        self._socket_dir = socket_dir
        self._unload_timeout_s = unload_timeout_s
        self._on_change = on_change
        self._programs = programs
        self._desired: dict[str, DesiredReplica] = {}
        self._wanted = asyncio.Event()
        self._idling = Idling(self.engines, partial(asyncio.to_thread, free_memory))
        self._watchers: dict[str, asyncio.Task[None]] = {}

    def want(self, replicas: Iterable[DesiredReplica]) -> None:
        """Make it so, soon: `run` does the work."""
        self._desired = {replica.replica_id: replica for replica in replicas}
        for replica_id, engine in self.engines.items():
            if replica_id in self._desired:
                engine.adapters.want(self._desired[replica_id].adapters)
                engine.idle_unload_s = self._desired[replica_id].idle_unload_s
        self._wanted.set()

    def replicas(self) -> list[DesiredReplica]:
        """What is loaded, and what is to be."""
        return [*(engine.replica for engine in self.engines.values()), *self._desired.values()]

    def statuses(self) -> list[ReplicaStatus]:
        """What is loaded, and what waits for its turn."""
        waiting = [
            ReplicaStatus(replica_id=replica_id, phase=ReplicaPhase.PENDING)
            for replica_id in self._desired
            if replica_id not in self.engines
        ]
        return [*(engine.status() for engine in self.engines.values()), *waiting]

    async def refresh_stats(self) -> None:
        """Ask every engine for its load, all at once."""
        await asyncio.gather(*(engine.refresh_stats() for engine in self.engines.values()))

    async def run(self) -> None:
        """Bring what is loaded to what is desired, at each change, until cancelled. Raises what a watcher raises."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._idling.run(), name="idling")
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                self._apply(plan(self._desired, self.engines), tasks)

    async def unload_all(self, drain_timeout_s: float) -> None:
        """Drain and unload everything, for good: nothing is loaded afterwards."""
        self._desired = {}
        await asyncio.gather(*(self._unload(replica_id, drain_timeout_s) for replica_id in list(self.engines)))

    def kill_all(self) -> None:
        """End every engine process this instant."""
        for engine in self.engines.values():
            engine.kill()

    def _apply(self, steps: Iterable[Unload | Load], tasks: asyncio.TaskGroup) -> None:
        for step in steps:
            match step:
                case Unload(replica_id=replica_id) if self.engines[replica_id].phase is not ReplicaPhase.DRAINING:
                    tasks.create_task(self._unload(replica_id, self._unload_timeout_s), name=f"unload {replica_id}")
                case Load(replica=replica):
                    self._load(replica, tasks)

    def _load(self, replica: DesiredReplica, tasks: asyncio.TaskGroup) -> None:
        logger.info("Loading %s (%s %s) ...", replica.model, replica.engine, replica.source)
        # A short name: the path of a Unix socket may have 107 characters.
        socket = self._socket_dir / f"{uuid4().hex[:12]}.sock"
        engine = EngineProcess(replica, socket, self._on_change, programs=self._programs, rouse=self._idling.rouse)
        self.engines[replica.replica_id] = engine
        self._watchers[replica.replica_id] = tasks.create_task(engine.run(), name=f"engine of {replica.model}")

    async def _unload(self, replica_id: str, drain_timeout_s: float) -> None:
        """May be asked again while it drains: the shorter patience counts."""
        engine, watcher = self.engines.get(replica_id), self._watchers.get(replica_id)
        if engine is None or watcher is None:
            return
        logger.info("Unloading %s ...", engine.replica.model)
        await engine.drain(drain_timeout_s)
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
        self.engines.pop(replica_id, None)
        self._watchers.pop(replica_id, None)
        self._on_change()
