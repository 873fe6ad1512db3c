"""Events of one generation, on their way from the model's thread to the task that reads them."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Sequence

from workers.engines.base import Finished, GenerationEvent, TextDelta


class Outbox:
    """Written to by the model's thread, read by one task.

    Text that waits is merged, so a reader that is slow gets larger deltas and this never holds more than the answer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[GenerationEvent | Exception] = deque()
        self._has_waiting = asyncio.Event()

    def post(self, events: Sequence[GenerationEvent | Exception]) -> None:
        """From any thread. An exception is raised in the reader and ends the stream."""
        # The loop is closed only when nobody is left to read.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._accept, events)

    async def read(self) -> AsyncGenerator[GenerationEvent, None]:
        """The events until Finished. Raises the exception that was posted."""
        while True:
            await self._has_waiting.wait()
            event = self._waiting.popleft()
            if not self._waiting:
                self._has_waiting.clear()
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, Finished):
                return

    def _accept(self, events: Sequence[GenerationEvent | Exception]) -> None:
        for event in events:
            last = self._waiting[-1] if self._waiting else None
            if isinstance(event, TextDelta) and isinstance(last, TextDelta):
                self._waiting[-1] = TextDelta(
                    text=last.text + event.text, usage=event.usage, tokens=last.tokens + event.tokens
                )
            else:
                self._waiting.append(event)
        self._has_waiting.set()
