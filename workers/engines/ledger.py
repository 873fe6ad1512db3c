"""Which requests run, and what each has used: the answer to "stop it, and what do I owe?"."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from workers.engines.base import Generation, Usage

_MAX_REMEMBERED = 1000


class Ledger:
    """The requests of one engine process."""

    def __init__(self) -> None:
        self._running: dict[str, Sequence[Generation]] = {}
        self._ended: OrderedDict[str, Usage] = OrderedDict()

    @contextmanager
    def open(self, request_id: str, generations: Sequence[Generation]) -> Iterator[None]:
        """Within: the request runs. After: its usage is remembered, for who asks a moment too late."""
        self._running[request_id] = generations
        try:
            yield
        finally:
            # The id may have been used again since, by a retry that overtook the end of this one.
            if self._running.get(request_id) is generations:
                del self._running[request_id]
            # Ended early, by a hang-up perhaps: what they use must not grow after it was told.
            for generation in generations:
                generation.cancel()
            self._remember(request_id, total_usage(generations))

    def cancel(self, request_id: str) -> Usage | None:
        """Stop it; exactly what it used until now. Of an ended one, what it used in all. None: unknown."""
        generations = self._running.get(request_id)
        if generations is None:
            return self._ended.get(request_id)
        for generation in generations:
            generation.cancel()
        return total_usage(generations)

    def _remember(self, request_id: str, usage: Usage) -> None:
        self._ended[request_id] = usage
        if len(self._ended) > _MAX_REMEMBERED:
            self._ended.popitem(last=False)


def total_usage(generations: Sequence[Generation]) -> Usage:
    """The sum over all choices."""
    return Usage(
        prompt_tokens=sum(generation.usage.prompt_tokens for generation in generations),
        completion_tokens=sum(generation.usage.completion_tokens for generation in generations),
        cached_tokens=sum(generation.usage.cached_tokens for generation in generations),
        reasoning_tokens=sum(generation.usage.reasoning_tokens for generation in generations),
    )
