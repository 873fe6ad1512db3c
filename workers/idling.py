"""Engines that are idle go to sleep, by their administrator's setting, and leave their memory to those that are asked.

idle for long ──▶ asleep ── a request ──▶ is there memory for it? ── yes ──▶ woken
                                                 └── no ──▶ who has been idle longest sleeps, if its setting
                                                            lets it; else NoRoom, and the request goes elsewhere
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from weakref import WeakKeyDictionary

from protocol.control import ReplicaPhase
from workers.engine_process import EngineProcess
from workers.errors import NoRoom
from workers.memory import CPU, Memory, devices_of, less, missing, total

_LOOK_EVERY_S = 0.5
_GIB = 1 << 30


class Idling:
    """Of all the engines of one daemon, by replica id. `free_memory` tells what each device has left."""

    def __init__(
        self, engines: Mapping[str, EngineProcess], free_memory: Callable[[], Awaitable[dict[str, int]]]
    ) -> None:
        self._engines = engines
        self._free_memory = free_memory
        self._needs: WeakKeyDictionary[EngineProcess, Memory] = WeakKeyDictionary()
        """What became free when it was put to sleep."""
        self._deciding = asyncio.Lock()
        """Memory that is being freed is in nobody's figures yet: one after the other."""

    async def run(self) -> None:
        """Put to sleep who is due, and wake who may not sleep any more; until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            for engine in list(self._engines.values()):
                if engine.is_due_to_sleep:
                    async with self._deciding:
                        await self._put_to_sleep(engine)
                elif engine.phase is ReplicaPhase.ASLEEP and engine.idle_unload_s is None:
                    with suppress(NoRoom):
                        await self.rouse(engine)

    async def rouse(self, engine: EngineProcess) -> None:
        """Wake it, in the place of others if need be. Raises NoRoom."""
        async with self._deciding:
            if engine.phase is ReplicaPhase.ASLEEP:
                await self._make_room(engine)
                engine.rouse()

    async def _make_room(self, engine: EngineProcess) -> None:
        """Whoever has been idle longest goes first, and nobody in vain."""
        need, free = self._needs.get(engine, {}), await self._free()
        idle = sorted(self._idle_beside(engine, free), key=lambda other: -other.occupancy.idle_for_s)
        freed = [await self._held_by(other, free) for other in idle]
        if missing(need, total([free, *freed]), engine.replica):
            raise _no_room(need, free, engine)
        for other in idle:
            if not missing(need, free, engine.replica):
                return
            await self._put_to_sleep(other)
            free = await self._free()
        if missing(need, free, engine.replica):
            raise _no_room(need, free, engine)

    async def _put_to_sleep(self, engine: EngineProcess) -> None:
        before = await self._free_memory()
        of_machine = await engine.memory_bytes()
        if not await engine.sleep():
            return
        devices = devices_of(engine.replica, before)
        after = await self._free_memory()
        # Of the machine's memory others take and give all the time; an engine's own share of it is known.
        self._needs[engine] = (
            {CPU: of_machine} if CPU in devices else less({device: after.get(device, 0) for device in devices}, before)
        )

    async def _free(self) -> dict[str, int]:
        """Less what those that are waking have yet to take."""
        return less(await self._free_memory(), total([await self._yet_to_take(one) for one in self._waking()]))

    async def _yet_to_take(self, engine: EngineProcess) -> Memory:
        return less(self._needs.get(engine, {}), {CPU: await engine.memory_bytes()})

    async def _held_by(self, engine: EngineProcess, known: Memory) -> Memory:
        """On an accelerator nobody knows before it has slept once: it may well be enough."""
        devices = devices_of(engine.replica, known)
        if CPU in devices:
            return {CPU: await engine.memory_bytes()}
        return self._needs.get(engine, dict.fromkeys(devices, 1 << 62))

    def _waking(self) -> list[EngineProcess]:
        return [engine for engine in self._engines.values() if engine.phase is ReplicaPhase.WAKING]

    def _idle_beside(self, engine: EngineProcess, known: Memory) -> Iterator[EngineProcess]:
        devices = devices_of(engine.replica, known)
        for other in self._engines.values():
            if other is not engine and other.may_sleep and devices & devices_of(other.replica, known):
                yield other


def _no_room(need: Memory, free: Memory, engine: EngineProcess) -> NoRoom:
    places = devices_of(engine.replica, free)
    num_free = sum(free.get(device, 0) for device in places)
    return NoRoom(
        f"It needs {sum(need.values()) / _GIB:.2f} GB of memory; {num_free / _GIB:.2f} GB are free, and what is "
        "idle would not make room enough."
    )
