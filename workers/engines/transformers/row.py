"""One generation inside the model's thread."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from workers.engines.base import Finished, FinishReason, Resume, Started, TextDelta, TokenLogprob, ToolCall, Usage
from workers.engines.transformers.adapters import Adapter
from workers.engines.transformers.images import Seen
from workers.engines.transformers.outbox import Event, Outbox
from workers.engines.transformers.readers import Piece
from workers.engines.transformers.sampling import Chosen, Sampler
from workers.engines.transformers.speller import Speller
from workers.engines.transformers.text import AnswerText
from workers.engines.transformers.thoughts import Thought
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
    speller: Speller
    seen: Seen | None = None
    """The prompt's images."""
    adapter: Adapter | None = None
    beginning: str = ""
    """Told before the first token's text."""
    counts_prompt: bool = True
    """False: an earlier row has this prompt too, and counts it."""


class Row:
    """Fed by the model's thread; may be cancelled from any other.

        waiting ◀──▶ seated: its tokens are fed, then one is chosen, fed, and so on ──▶ done

    Without its seat it must be fed again from the beginning: it loses time, and nothing else. Done: finished, failed or
    cancelled.
    """

    def __init__(self, prepared: Prepared, outbox: Outbox) -> None:
        self.outbox = outbox
        self.sampler = prepared.sampler
        self.tokens = [*prepared.prompt, *(prepared.resume.tokens if prepared.resume else ())]
        """The prompt, then the answer."""
        self.num_fed = 0
        self.seen = prepared.seen
        self.adapter = prepared.adapter
        self._prepared = prepared
        self._lock = threading.Lock()
        self._num_cached: int | None = None
        self._num_prompt_fed = 0
        self._num_reasoning = 0
        self._has_started = False
        self._untold: list[int] = []
        self._untold_logprobs: list[TokenLogprob] = []
        self._is_done = False
        self.sampler.observe(self.tokens[len(prepared.prompt) :])

    @property
    def usage(self) -> Usage:
        """So far; final once the row is done."""
        num_generated = len(self.tokens) - len(self._prepared.prompt)
        if not self._prepared.counts_prompt:
            return Usage(completion_tokens=num_generated, reasoning_tokens=self._num_reasoning)
        return Usage(
            prompt_tokens=self._num_prompt_fed,
            completion_tokens=num_generated,
            cached_tokens=self._num_cached or 0,
            reasoning_tokens=self._num_reasoning,
        )

    @property
    def variant(self) -> int:
        """What its keys and values are computed with: rows share them only with rows of the same."""
        return self.adapter.variant if self.adapter else 0

    @property
    def is_done(self) -> bool:
        return self._is_done

    @property
    def num_unfed(self) -> int:
        return len(self.tokens) - self.num_fed

    @property
    def is_decoding(self) -> bool:
        """Whether it feeds the token that was chosen last, as opposed to a piece of something longer."""
        return self._has_started and self.num_unfed == 1

    @property
    def max_new_tokens(self) -> int:
        """That may still come."""
        return len(self._prepared.prompt) + self._prepared.max_tokens - len(self.tokens)

    def next_input(self, max_tokens: int) -> list[int]:
        """The ids to feed next: a piece of the prompt, or the token that was chosen last.

        Images go in with the whole of their prompt.
        """
        if self.seen and not self.num_fed:
            max_tokens = len(self.tokens)
        return self.tokens[self.num_fed : self.num_fed + max_tokens]

    def seated(self, num_cached: int) -> None:
        """It has a place, where so many of its tokens are in already."""
        with self._lock:
            self.num_fed = num_cached
            self._count_prompt()
            if self._num_cached is None:
                self._num_cached = self._num_prompt_fed

    def unseated(self) -> None:
        """It lost its place."""
        self.num_fed = 0

    def fed(self, num_tokens: int) -> None:
        """They went in."""
        with self._lock:
            self.num_fed += num_tokens
            self._count_prompt()

    def accept(self, chosen: Chosen) -> list[Event]:
        """The next token is this one; what there is to tell of it."""
        with self._lock:
            # Cancelled while the step ran, and its usage told: then this step's token was never generated.
            events = [] if self._is_done or self._has_started else self._start()
            return events if self._is_done else [*events, *self._accept(chosen)]

    def cancel(self) -> None:
        """From any thread; usage stays as it is at this moment."""
        self.fail(RequestCancelled("The request was cancelled."))

    def fail(self, error: Exception) -> None:
        """End with this error, unless it has ended already."""
        with self._lock:
            if not self._is_done:
                self._is_done = True
                self.outbox.post([error])

    def _count_prompt(self) -> None:
        # What was told once stays told when the row loses its place.
        if not self._is_done:
            self._num_prompt_fed = max(self._num_prompt_fed, min(self.num_fed, len(self._prepared.prompt)))

    def _start(self) -> list[Event]:
        self._has_started = True
        events: list[Event] = [Started(usage=self.usage)]
        if beginning := self._prepared.beginning:
            events.append(TextDelta(text=beginning, usage=self.usage))
        if resume := self._prepared.resume:
            events += self._shown(self._prepared.text.replay(resume))
            events += self._finished_if_at_end()
        return events

    def _accept(self, chosen: Chosen) -> list[Event]:
        token = chosen.token
        if token in self._prepared.end_tokens:
            self.sampler.end()
            return self._finished("stop")
        self.tokens.append(token)
        self.sampler.observe([token])
        self._untold.append(token)
        self._num_reasoning += self._prepared.text.is_thinking
        if chosen.logprobs is not None:
            self._untold_logprobs.append(self._prepared.speller.spelled(chosen.logprobs))
        return self._shown(self._prepared.text.push(token)) + self._finished_if_at_end()

    def _finished_if_at_end(self) -> list[Event]:
        if self._prepared.text.is_stopped or self.sampler.is_complete:
            return self._finished("stop")
        return [] if self.max_new_tokens > 0 else self._finished("length")

    def _finished(self, reason: FinishReason) -> list[Event]:
        events = self._shown(self._prepared.text.flush())
        if self._untold:
            # Those of a stop string, say, or control tokens: they have no text to go with, but are counted.
            events.append(self._told(""))
        if reason == "stop" and self._prepared.text.has_tool_calls:
            reason = "tool_calls"
        self._is_done = True
        return [*events, Finished(finish_reason=reason, usage=self.usage)]

    def _shown(self, pieces: Sequence[Piece]) -> list[Event]:
        return [piece if isinstance(piece, ToolCall) else self._told(piece) for piece in pieces]

    def _told(self, piece: str | Thought) -> TextDelta:
        text = piece if isinstance(piece, str) else piece.text
        tokens, self._untold = tuple(self._untold), []
        logprobs, self._untold_logprobs = tuple(self._untold_logprobs), []
        return TextDelta(
            text=text, usage=self.usage, tokens=tokens, logprobs=logprobs, is_thought=isinstance(piece, Thought)
        )
