"""The one thread that owns the model. Everything that touches the model happens here.

Each turn: take what has come, let rows join, feed one step of many rows, run one job. A step feeds one token of each
row that is answering and, within what fits into a tenth of a second, pieces of prompts. So a long prompt, a long answer
and a heap of embeddings each cost the others no more than one piece a turn.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import torch

from workers.engines.step_bound import DEFAULT_STEP_TOKENS, MIN_STEP_TOKENS, StepBound
from workers.engines.transformers.forward import ForwardPass, Piece, is_out_of_memory
from workers.engines.transformers.outbox import Event, Outbox, deliver
from workers.engines.transformers.row import Row
from workers.engines.transformers.sampling import choose
from workers.engines.transformers.slots import common_length
from workers.engines.transformers.turns import fair_shares
from workers.errors import EngineError, EngineFailed

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
_Job = tuple[Callable[[], Any], Future[Any]]

_MAX_PROMPTS_AT_ONCE = 8
_WORTH_WAITING_FOR = 32
"""Tokens of a prompt's beginning that another row is about to compute."""


class StepLoop:
    """Rows and jobs come from any thread and are served in the order in which they come."""

    def __init__(self, max_concurrency: int) -> None:
        self._max_concurrency = max_concurrency
        self._inbox: queue.SimpleQueue[Row | _Job | None] = queue.SimpleQueue()
        self._arriving: deque[Row] = deque()
        """Rows in the inbox, which does not tell what it holds."""
        self._waiting: deque[Row] = deque()
        self._running: deque[Row] = deque()
        self._jobs: deque[_Job] = deque()
        self._is_closing = False
        self._forward: ForwardPass | None = None
        self._bound = StepBound()
        self._turn_began_at: float | None = None
        # Not a daemon thread: torch aborts a process that ends while one is inside it.
        self._thread = threading.Thread(target=self._run, name="model")
        self._thread.start()

    @property
    def num_running(self) -> int:
        return _num_alive(self._running)

    @property
    def num_waiting(self) -> int:
        return _num_alive(self._waiting) + _num_alive(self._arriving)

    @property
    def cache_usage(self) -> float | None:
        """Share of the room for keys and values that running rows take; None before there is one, or if unknown."""
        return None if self._forward is None else self._forward.cache_usage

    @property
    def max_step_tokens(self) -> int | None:
        """What a step may have now; None before there are any."""
        return None if self._forward is None else self._bound.max_tokens

    @property
    def num_out_of_memory(self) -> int:
        """Steps that did not fit into memory."""
        return self._bound.num_out_of_memory

    @property
    def turn_s(self) -> float:
        """How long the present turn has taken until now; 0 between turns."""
        began_at = self._turn_began_at
        return 0.0 if began_at is None else time.monotonic() - began_at

    def progressed(self) -> None:
        """A job or a step that is made of many short parts tells so after each: it is not stuck."""
        self._turn_began_at = time.monotonic()

    def use(self, forward: ForwardPass, max_step_tokens: int = DEFAULT_STEP_TOKENS) -> None:
        """Rows are fed through this from now on; before, none may be submitted."""
        self._forward, self._bound = forward, StepBound(max_step_tokens)

    def submit(self, row: Row) -> None:
        """Put a row in line; it tells its own outbox what becomes of it."""
        self._arriving.append(row)
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
                self._turn_began_at = time.monotonic()
                try:
                    self._turn()
                except Exception as error:
                    logger.exception("A step failed")
                    self._fail_all(error)
                self._turn_began_at = None
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
            self._arriving.popleft()
        elif item is not None:
            self._jobs.append(item)

    def _turn(self) -> None:
        self._drop_done()
        if self._forward is not None:
            self._admit(self._forward)
            self._feed(self._forward)
        if self._jobs:
            _run_job(*self._jobs.popleft())

    def _drop_done(self) -> None:
        for row in self._running:
            if row.is_done and self._forward is not None:
                self._forward.leave(row)
        self._running = deque(row for row in self._running if not row.is_done)
        self._waiting = deque(row for row in self._waiting if not row.is_done)

    def _admit(self, forward: ForwardPass) -> None:
        passed_over: list[Row] = []
        while self._waiting and len(self._running) < self._max_concurrency:
            row = self._waiting.popleft()
            if self._is_soon_shared(forward, row):
                passed_over.append(row)
            elif forward.seat(row):
                self._running.append(row)
            else:
                passed_over.append(row)
                break
        self._waiting.extendleft(reversed(passed_over))

    def _is_soon_shared(self, forward: ForwardPass, row: Row) -> bool:
        """Whether another row is just computing so much of its beginning that waiting for that is quicker."""
        others = (other for other in self._running if not other.is_decoding and other.variant == row.variant)
        soon = max((common_length(row.tokens[:-1], other.tokens) for other in others), default=0)
        return soon >= _WORTH_WAITING_FOR and soon > forward.shared(row)

    def _feed(self, forward: ForwardPass) -> None:
        pieces = self._next_pieces()
        while pieces and not forward.extend(pieces):
            # The one that came last has the least to lose.
            self._unseat(forward, self._running.pop())
            pieces = self._next_pieces()
        at_once = min(forward.max_pieces, self._bound.max_tokens)
        for at in range(0, len(pieces), at_once):
            self._step(forward, pieces[at : at + at_once])

    def _unseat(self, forward: ForwardPass, row: Row) -> None:
        forward.leave(row)
        row.unseated()
        self._waiting.appendleft(row)

    def _next_pieces(self) -> list[Piece]:
        decoding = [row for row in self._running if row.is_decoding]
        prompts = _chosen_prompts([row for row in self._running if not row.is_decoding])
        budget = max(MIN_STEP_TOKENS, self._bound.max_tokens - len(decoding))
        shares = fair_shares([row.num_unfed for row in prompts], budget)
        pieces = [Piece(row, row.next_input(1)) for row in decoding]
        return pieces + [Piece(row, row.next_input(share)) for row, share in zip(prompts, shares, strict=True) if share]

    def _step(self, forward: ForwardPass, pieces: Sequence[Piece]) -> None:
        try:
            logits = forward.step(pieces)
        except Exception as error:
            self._recover(forward, pieces, error)
        else:
            _finish_step(pieces, logits)

    def _recover(self, forward: ForwardPass, pieces: Sequence[Piece], error: Exception) -> None:
        """Nothing of a step that failed was fed."""
        if is_out_of_memory(error) and self._bound.shrink():
            logger.warning("Out of memory: steps have at most %d tokens from now on", self._bound.max_tokens)
        elif len(pieces) == 1:
            _fail(pieces[0].row, error)
        else:
            # One of them is to blame, and only that one is to fail.
            middle = len(pieces) // 2
            self._step(forward, pieces[:middle])
            self._step(forward, pieces[middle:])

    def _fail_all(self, error: Exception) -> None:
        for row in (*self._running, *self._waiting):
            _fail(row, error)
        for _, future in self._jobs:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
        self._drop_done()
        self._jobs.clear()


def _chosen_prompts(rows: Sequence[Row]) -> list[Row]:
    """Whose turn it is: the oldest, lest it starve, and the shortest, which soon are answering."""
    shortest = sorted(rows[1:], key=lambda row: row.num_unfed)
    return [*rows[:1], *shortest[: _MAX_PROMPTS_AT_ONCE - 1]]


def _finish_step(pieces: Sequence[Piece], logits: torch.Tensor) -> None:
    """What follows the forward pass: a token for each row that has been fed all it has."""
    last = [piece.row for piece in pieces if piece.is_last]
    for piece in pieces:
        piece.row.fed(len(piece.ids))
    chosen = choose(logits, [row.sampler for row in last]) if last else []
    letters: list[tuple[Outbox, list[Event]]] = []
    for row, item in zip(last, chosen, strict=True):
        try:
            if item is None:
                raise FloatingPointError("The model's logits are not numbers.")
            if events := row.accept(item):
                letters.append((row.outbox, events))
        except Exception as error:
            _fail(row, error)
    deliver(letters)


def _num_alive(rows: deque[Row]) -> int:
    # Read from another thread: making a list of a deque cannot be interrupted by the thread that changes it.
    return sum(not row.is_done for row in list(rows))


def _fail(row: Row, error: Exception) -> None:
    if isinstance(error, EngineError):
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
