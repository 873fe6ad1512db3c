"""The line before a model: how many requests it has, running and waiting, and how long one takes."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from workers.engines.limits import check_room

_WEIGHT_OF_LAST = 0.1


class Line:
    """Everything that wants the model has a place in it, from its arrival to its end."""

    def __init__(self, max_concurrency: int) -> None:
        self._max_concurrency = max_concurrency
        self._num_open = 0
        self._mean_duration_s = 1.0

    def join(self) -> None:
        """One request more, which has to `leave`. Raises Overloaded."""
        check_room(self._num_open, self._max_concurrency, math.ceil(self._mean_duration_s))
        self._num_open += 1

    def leave(self, duration_s: float | None = None) -> None:
        """One less. `duration_s`: of one that was answered, by which others are told when to come back."""
        self._num_open -= 1
        if duration_s is not None:
            self._mean_duration_s += _WEIGHT_OF_LAST * (duration_s - self._mean_duration_s)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Within: one request more. Raises Overloaded."""
        self.join()
        try:
            yield
        finally:
            self.leave()
