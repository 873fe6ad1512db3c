"""Looks after replicas that the breaker has left out: asks them now and then, so that no caller need find out."""

import asyncio
import time

from gateway.breaker import Breaker, Trouble
from gateway.upstream import TransportError, Upstream

PROBE_EVERY_S = 0.5
"""Half of the breaker's shortest pause: no request that waits finds out before a probe has."""
_MAX_AT_A_TIME = 32


class Prober:
    """One task, and only while there is something to probe."""

    def __init__(self, breaker: Breaker, upstream: Upstream) -> None:
        self._breaker = breaker
        self._upstream = upstream
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Something failed."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait({task})

    async def _run(self) -> None:
        turns = asyncio.Semaphore(_MAX_AT_A_TIME)
        while troubles := list(self._breaker.open_ones(time.monotonic())):
            await asyncio.sleep(PROBE_EVERY_S)
            await asyncio.gather(*(self._probe(trouble, turns) for trouble in troubles))

    async def _probe(self, trouble: Trouble, turns: asyncio.Semaphore) -> None:
        try:
            async with turns:
                is_well = await self._upstream.is_well(trouble.replica)
        except TransportError:
            is_well = False
        if not is_well:
            self._breaker.still_down(trouble, time.monotonic())
        elif trouble.is_unreachable:
            self._breaker.succeeded(trouble.replica)
