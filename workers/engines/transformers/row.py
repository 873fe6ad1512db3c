"""One generation inside the model's thread."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workers.engines.base import Finished, FinishReason, GenerationEvent, Resume, Started, TextDelta, Usage
from workers.engines.transformers.outbox import Outbox
from workers.engines.transformers.sampling import Sampler
from workers.engines.transformers.text import AnswerText
from workers.engines.transformers.tool_calls import Piece
from workers.errors import RequestCancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request, checked and encoded: all that a row needs to know."""

    prompt: list[int]
    resume: Resume | None
    max_tokens: int
    end_tokens: frozenset[int]
    sampler: Sampler
    text: AnswerText


class Row:
    """Goes from prefill to decode to done. Fed by the model's thread; may be cancelled from any other.

        waiting ──▶ prefill ──▶ decode ──▶ done (finished, failed or cancelled)

    `cache` is the model's memory of what was fed: the forward pass makes it, the step loop drops it.
    """

    def __init__(self, prepared: Prepared, outbox: Outbox) -> None:
        self._prepared, self._outbox = prepared, outbox
        self._lock = threading.Lock()
        self._unfed = [*prepared.prompt, *(prepared.resume.tokens if prepared.resume else ())]
        self._num_given = len(self._unfed)
        self._num_given_fed = 0
        self._num_generated = self._num_given - len(prepared.prompt)
        self._untold: list[int] = []
        self._is_done = False
        self.cache: Any = None

    @property
    def usage(self) -> Usage:
        """So far; final once the row is done."""
        num_prompt_fed = min(self._num_given_fed, len(self._prepared.prompt))
        return Usage(prompt_tokens=num_prompt_fed, completion_tokens=self._num_generated)

    @property
    def is_done(self) -> bool:
        return self._is_done

    @property
    def is_prefilling(self) -> bool:
        return self._num_given_fed < self._num_given

    def next_input(self, max_tokens: int) -> list[int]:
        """The ids to feed next: a piece of the prompt, or the token that was chosen last."""
        return self._unfed[:max_tokens]

    def fed(self, num_tokens: int, logits: Any) -> None:
        """They went in; `logits` (vocabulary,) are those after the last of them."""
        with self._lock:
            if self._is_done:
                # Cancelled while the step ran, and its usage told: this step's token was never generated.
                return
            self._unfed = self._unfed[num_tokens:]
            if self.is_prefilling:
                self._num_given_fed += num_tokens
                if self.is_prefilling:
                    return
                self._start()
            if not self._is_done:
                self._accept(self._prepared.sampler.choose(logits, self._num_generated))

    def cancel(self) -> None:
        """From any thread; usage stays as it is at this moment."""
        self.fail(RequestCancelled("The request was cancelled."))

    def fail(self, error: Exception) -> None:
        """End with this error, unless it has ended already."""
        with self._lock:
            if not self._is_done:
                self._end([error])

    def _start(self) -> None:
        self._outbox.post([Started(usage=self.usage)])
        if resume := self._prepared.resume:
            self._show(self._prepared.text.replay(resume))
            self._finish_if_full()

    def _accept(self, token: int) -> None:
        if token in self._prepared.end_tokens:
            self._finish("stop")
            return
        self._unfed = [token]
        self._num_generated += 1
        self._untold.append(token)
        self._show(self._prepared.text.push(token))
        if self._prepared.text.is_stopped:
            self._finish("stop")
        else:
            self._finish_if_full()

    def _finish_if_full(self) -> None:
        if self._num_generated >= self._prepared.max_tokens:
            self._finish("length")

    def _finish(self, reason: FinishReason) -> None:
        self._show(self._prepared.text.flush())
        if reason == "stop" and self._prepared.text.has_tool_calls:
            reason = "tool_calls"
        self._end([Finished(finish_reason=reason, usage=self.usage)])

    def _show(self, pieces: Sequence[Piece]) -> None:
        events: list[GenerationEvent] = [self._told(piece) if isinstance(piece, str) else piece for piece in pieces]
        if events:
            self._outbox.post(events)

    def _told(self, text: str) -> TextDelta:
        tokens, self._untold = tuple(self._untold), []
        return TextDelta(text=text, usage=self.usage, tokens=tokens)

    def _end(self, events: Sequence[GenerationEvent | Exception]) -> None:
        self._is_done = True
        self._outbox.post(events)
