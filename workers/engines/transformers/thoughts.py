"""What a model thinks before it answers, told apart from the answer: `<think> ... </think>` and its kin."""

from dataclasses import dataclass
from typing import Any, Literal

from workers.engines.stop_strings import held_back


@dataclass(frozen=True, slots=True)
class Thought:
    """Some more of what the model thinks."""

    text: str


@dataclass(frozen=True, slots=True)
class ThoughtMarks:
    """Where a model's thoughts begin and end."""

    opening: str
    closing: str


_KNOWN = (
    ThoughtMarks("<think>", "</think>"),  # Qwen, DeepSeek, GLM and most others
    ThoughtMarks("[THINK]", "[/THINK]"),  # Mistral
    ThoughtMarks("<seed:think>", "</seed:think>"),
    ThoughtMarks("<|START_THINKING|>", "<|END_THINKING|>"),  # Cohere
    ThoughtMarks("<thinking>", "</thinking>"),
    ThoughtMarks("◁think▷", "◁/think▷"),  # Kimi
)


def thought_marks(tokenizer: Any, template: str) -> ThoughtMarks | None:
    """Those of this model, by its template and its vocabulary; None where it does not think aloud."""
    texts = {template, *(token.content for token in tokenizer.added_tokens_decoder.values())}
    return next((marks for marks in _KNOWN if any(marks.closing in text for text in texts)), None)


class ThoughtParser:
    """Follows one answer. Only what stands at its very beginning is a thought: later on the marks are text.

    `prompt_end`: how the prompt ends. Some templates open the thought themselves; some close it at once.
    """

    def __init__(self, marks: ThoughtMarks, prompt_end: str) -> None:
        self._marks = marks
        self._held = ""
        prompt_end = prompt_end.rstrip()
        self.is_thinking = prompt_end.endswith(marks.opening)
        self._may_begin = not self.is_thinking and not prompt_end.endswith(marks.closing)
        self._is_fresh = True
        """Nothing has been told of what comes now, and white space at its beginning will not be."""

    @property
    def may_think(self) -> bool:
        """It does, or may begin to."""
        return self.is_thinking or self._may_begin

    def push(self, text: str) -> list[str | Thought]:
        """What is certain now."""
        if not self.may_think and not self._is_fresh:
            return [text] if text else []
        self._held += text
        if self._may_begin:
            self._begin()
        pieces = self._thought() if self.is_thinking else []
        return pieces if self.may_think else pieces + self._answer()

    def flush(self) -> list[str | Thought]:
        """The rest, when nothing follows."""
        rest, self._held = self._held, ""
        if self.is_thinking:
            rest = rest.strip() if self._is_fresh else rest.rstrip()
            return [Thought(rest)] if rest else []
        return [rest] if rest else []

    def _begin(self) -> None:
        start = self._held.lstrip()
        if start.startswith(self._marks.opening):
            self._held, self._may_begin, self.is_thinking = start[len(self._marks.opening) :], False, True
        elif not self._marks.opening.startswith(start):
            # No thought after all: then the space at the beginning belongs to the answer.
            self._may_begin = self._is_fresh = False

    def _thought(self) -> list[str | Thought]:
        if self._is_fresh:
            self._held = self._held.lstrip()
        thought, mark, rest = self._held.partition(self._marks.closing)
        if mark:
            self._held, self.is_thinking = rest, False
        else:
            thought = self._held[: len(self._held) - held_back(self._held, self._marks.closing)]
        told = thought.rstrip()
        if not mark:
            self._held = self._held[len(told) :]
        self._is_fresh = bool(mark) or (self._is_fresh and not told)
        return [Thought(told)] if told else []

    def _answer(self) -> list[str | Thought]:
        text = self._held.lstrip() if self._is_fresh else self._held
        self._held = ""
        self._is_fresh = self._is_fresh and not text
        return [text] if text else []


def expected_of(parser: ThoughtParser | None) -> Literal["never", "may begin", "has begun"]:
    """Whether a thought comes first."""
    if parser is None or not parser.may_think:
        return "never"
    return "has begun" if parser.is_thinking else "may begin"
