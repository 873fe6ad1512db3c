"""Events of one generation, on their way from the model's thread to the task that reads them."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Sequence

from workers.engines.base import Finished, GenerationEvent, TextDelta

Event = GenerationEvent | Exception


class Outbox:
    """Written to by the model's thread, read by one task.

    Text that waits is merged, so a reader that is slow gets larger deltas and this never holds more than the answer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: deque[Event] = deque()
        self._has_waiting = asyncio.Event()

    def post(self, events: Sequence[Event]) -> None:
        """From any thread. An exception is raised in the reader and ends the stream."""
        deliver([(self, events)])

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

    def accept(self, events: Sequence[Event]) -> None:
        """In the reader's own event loop."""
        for event in events:
            last = self._waiting[-1] if self._waiting else None
            if isinstance(event, TextDelta) and isinstance(last, TextDelta) and event.is_thought == last.is_thought:
                self._waiting[-1] = _merged(last, event)
            else:
                self._waiting.append(event)
        self._has_waiting.set()


def _merged(first: TextDelta, second: TextDelta) -> TextDelta:
    return TextDelta(
        text=first.text + second.text,
        usage=second.usage,
        tokens=first.tokens + second.tokens,
        logprobs=first.logprobs + second.logprobs,
        is_thought=second.is_thought,
    )


def deliver(letters: Sequence[tuple[Outbox, Sequence[Event]]]) -> None:
    """Post to many at once, from any thread: one call into the event loop, however many they are."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Outbox, Sequence[Event]]]] = {}
    for outbox, events in letters:
        by_loop.setdefault(outbox.loop, []).append((outbox, events))
    for loop, group in by_loop.items():
        # A loop is closed only when nobody is left to read.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_accept_all, group)


def _accept_all(letters: Sequence[tuple[Outbox, Sequence[Event]]]) -> None:
    for outbox, events in letters:
        outbox.accept(events)
