"""Generations that are counted: what each used, how it ended and how long it took."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from workers.engines.base import Finished, Generation, GenerationEvent, TextDelta, ToolCall, Usage
from workers.engines.figures import Totals


@dataclass(slots=True)
class MeteredGeneration:
    """Passes all on to the generation, see there, and counts it in the totals when it is closed."""

    generation: Generation
    totals: Totals
    _began_at: float
    """When it was asked for, by time.monotonic."""
    _first_at: float | None = None
    _finish_reason: str = "abort"

    @property
    def usage(self) -> Usage:
        return self.generation.usage

    async def __aiter__(self) -> AsyncIterator[GenerationEvent]:
        async for event in self.generation:
            if self._first_at is None and isinstance(event, TextDelta | ToolCall):
                self._first_at = time.monotonic()
                self.totals.time_to_first_token.observe(self._first_at - self._began_at)
            if isinstance(event, Finished):
                self._finish_reason = event.finish_reason
            yield event

    def cancel(self) -> None:
        self.generation.cancel()

    async def aclose(self) -> None:
        await self.generation.aclose()
        self._count(self.generation.usage, time.monotonic())

    def _count(self, usage: Usage, ended_at: float) -> None:
        totals = self.totals
        totals.prompt_tokens += usage.prompt_tokens
        totals.cached_tokens += usage.cached_tokens
        totals.generation_tokens += usage.completion_tokens
        totals.requests[self._finish_reason] = totals.requests.get(self._finish_reason, 0) + 1
        totals.request_latency.observe(ended_at - self._began_at)
        if self._first_at is not None and usage.completion_tokens > 1:
            totals.time_per_output_token.observe((ended_at - self._first_at) / (usage.completion_tokens - 1))
