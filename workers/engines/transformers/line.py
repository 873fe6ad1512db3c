"""The line before a model: how many requests it has, running and waiting, and how long one takes."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from workers.engines.limits import check_room

Result = TypeVar("Result")

_WEIGHT_OF_LAST = 0.1


@dataclass(slots=True, eq=False)
class Place:
    """Of a request that is no generation. It waits until an act of its own begins, in whatever thread."""

    is_running: bool = False

    def begins(self, act: Callable[[], Result]) -> Callable[[], Result]:
        """The act, which takes down that it has begun."""

        def begun() -> Result:
            self.is_running = True
            return act()

        return begun


class Line:
    """Everything that wants the model has a place in it, from its arrival to its end."""

    def __init__(self, max_concurrency: int) -> None:
        self._max_concurrency = max_concurrency
        self._num_open = 0
        self._places: set[Place] = set()
        self._mean_duration_s = 1.0

    @property
    def num_running(self) -> int:
        """Without generations, which the step loop counts: it knows which of them it feeds."""
        return sum(place.is_running for place in self._places)

    @property
    def num_waiting(self) -> int:
        """Without generations."""
        return len(self._places) - self.num_running

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
    def place(self) -> Iterator[Place]:
        """Within: one request more, which is no generation. Raises Overloaded."""
        self.join()
        place = Place()
        self._places.add(place)
        try:
            yield place
        finally:
            self._places.remove(place)
            self.leave()
