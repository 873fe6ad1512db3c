"""How many requests one engine has, how those before them ended, and since when it has had none."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Occupancy:
    """Of one engine. A request that is held until its engine is awake counts too."""

    def __init__(self) -> None:
        self.num_in_flight = 0
        self.num_answers = self.num_errors = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._idle_since_s = time.monotonic()

    @property
    def idle_for_s(self) -> float:
        return 0.0 if self.num_in_flight else time.monotonic() - self._idle_since_s

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count a request, so that draining waits for it."""
        self.num_in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.num_in_flight -= 1
            if not self.num_in_flight:
                self._idle.set()
                self.begin_idling()

    def begin_idling(self) -> None:
        """From now on; an engine that has just become ready was not idle while it loaded."""
        self._idle_since_s = time.monotonic()

    def count_answer(self, *, has_failed: bool) -> None:
        """An answer has ended otherwise than by the caller's hang-up; `has_failed`: by the engine's fault."""
        self.num_answers += 1
        self.num_errors += has_failed

    async def wait_until_idle(self, timeout_s: float) -> None:
        """So long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
