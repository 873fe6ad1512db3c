"""The one thread that owns the model. Everything that touches the model happens here.

Each turn: take what has come, let rows join, feed one piece of one prompt, decode one token of every row, run one
job. So a long prompt, a long answer and a heap of embeddings each cost the others no more than one piece a turn.
"""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import torch

from workers.engines.transformers.forward import ForwardPass
from workers.engines.transformers.row import Row
from workers.errors import EngineFailed

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
_Job = tuple[Callable[[], Any], Future[Any]]


class StepLoop:
    """Rows and jobs come from any thread and are served in the order in which they come."""

    def __init__(self, max_concurrency: int) -> None:
        self._max_concurrency = max_concurrency
        self._inbox: queue.SimpleQueue[Row | _Job | None] = queue.SimpleQueue()
        self._waiting: deque[Row] = deque()
        self._running: deque[Row] = deque()
        self._jobs: deque[_Job] = deque()
        self._is_closing = False
        self._forward: ForwardPass | None = None
        # Not a daemon thread: torch aborts a process that ends while one is inside it.
        self._thread = threading.Thread(target=self._run, name="model")
        self._thread.start()

    @property
    def num_running(self) -> int:
        return _num_alive(self._running)

    @property
    def num_waiting(self) -> int:
        return _num_alive(self._waiting) + self._inbox.qsize()

    def use(self, forward: ForwardPass) -> None:
        """Rows are fed through this from now on; before, none may be submitted."""
        self._forward = forward

    def submit(self, row: Row) -> None:
        """Put a row in line; it tells its own outbox what becomes of it."""
        self._inbox.put(row)

    def run(self, job: Callable[[], Result]) -> "Future[Result]":
        """Have `job` run in the model's thread. Cancelling the future works until it has begun."""
        future: Future[Result] = Future()
        self._inbox.put((job, future))
        return future

    def close(self) -> None:
        """Fail what runs and waits, and end the thread. Blocks for the rest of the current step."""
        self._is_closing = True
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        with torch.inference_mode():
            while not self._is_closing:
                self._receive()
                try:
                    self._turn()
                except Exception as error:
                    logger.exception("A step failed")
                    self._fail_all(error)
        self._receive_rest()
        self._fail_all(EngineFailed("The engine is shutting down. Please send the request again."))

    def _receive(self) -> None:
        """All that has come; waits for something when there is nothing to do."""
        if not (self._running or self._waiting or self._jobs):
            self._sort_in(self._inbox.get())
        self._receive_rest()

    def _receive_rest(self) -> None:
        while not self._inbox.empty():
            self._sort_in(self._inbox.get())

    def _sort_in(self, item: Row | _Job | None) -> None:
        if isinstance(item, Row):
            self._waiting.append(item)
        elif item is not None:
            self._jobs.append(item)

    def _turn(self) -> None:
        self._drop_done()
        while self._waiting and len(self._running) < self._max_concurrency:
            self._running.append(self._waiting.popleft())
        self._prefill_one()
        self._decode_all()
        if self._jobs:
            _run_job(*self._jobs.popleft())

    def _drop_done(self) -> None:
        for row in (*self._running, *self._waiting):
            if row.is_done:
                # Its reader may be slow and keep the row for long; the memory is needed now.
                row.cache = None
        self._running = deque(row for row in self._running if not row.is_done)
        self._waiting = deque(row for row in self._waiting if not row.is_done)

    def _prefill_one(self) -> None:
        row = next((row for row in self._running if row.is_prefilling and not row.is_done), None)
        if row is None or self._forward is None:
            return
        # To the end, so that the next turn feeds another prompt: a short one never waits for the whole of a long one.
        self._running.remove(row)
        self._running.append(row)
        try:
            self._forward.prefill(row)
        except Exception as error:
            _fail(row, error)

    def _decode_all(self) -> None:
        rows = [row for row in self._running if not row.is_prefilling and not row.is_done]
        if rows and self._forward is not None:
            self._forward.decode(rows, _fail)

    def _fail_all(self, error: Exception) -> None:
        for row in (*self._running, *self._waiting):
            _fail(row, error)
        for _, future in self._jobs:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
        self._drop_done()
        self._jobs.clear()


def _num_alive(rows: deque[Row]) -> int:
    # Read from another thread: making a list of a deque cannot be interrupted by the thread that changes it.
    return sum(not row.is_done for row in list(rows))


def _fail(row: Row, error: Exception) -> None:
    if isinstance(error, EngineFailed):
        row.fail(error)
        return
    logger.error("A generation failed", exc_info=error)
    row.fail(EngineFailed(f"The model failed while answering: {type(error).__name__}. The worker's log says more."))


def _run_job(job: Callable[[], Any], future: "Future[Any]") -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job())
    except BaseException as error:
        future.set_exception(error)
