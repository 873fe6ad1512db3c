"""Who tells the parts of an answer apart: by the marks of the model's family, or by its own response template."""

import json
import secrets
from collections.abc import Sequence
from typing import Any, Protocol

from transformers.utils.chat_parsing import ResponseParser

from workers.engines.base import ToolCall
from workers.engines.transformers.thoughts import Thought, ThoughtParser
from workers.engines.transformers.tool_calls import ToolCallParser

Piece = str | Thought | ToolCall

_CALLS, _CONTENT = "tool_calls", "content"
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")


class Reader(Protocol):
    """Follows one answer's text."""

    @property
    def num_calls(self) -> int: ...

    @property
    def is_full(self) -> bool:
        """There are as many calls as there may be."""

    @property
    def is_thinking(self) -> bool:
        """What comes now is a thought, as far as is known."""

    def push(self, text: str) -> list[Piece]:
        """What is certain now."""

    def flush(self) -> list[Piece]:
        """The rest, when no text follows."""


class MarkReader:
    """By marks. Calls are taken out of what is said; what is only thought of calls none."""

    def __init__(self, thoughts: ThoughtParser | None, calls: ToolCallParser | None) -> None:
        self._thoughts, self._calls = thoughts, calls

    @property
    def num_calls(self) -> int:
        return self._calls.num_calls if self._calls else 0

    @property
    def is_full(self) -> bool:
        return self._calls is not None and self._calls.is_full

    @property
    def is_thinking(self) -> bool:
        return self._thoughts is not None and self._thoughts.is_thinking

    def push(self, text: str) -> list[Piece]:
        return self._without_calls([text] if self._thoughts is None else self._thoughts.push(text))

    def flush(self) -> list[Piece]:
        pieces = self._without_calls(self._thoughts.flush()) if self._thoughts else []
        return pieces + (self._calls.flush() if self._calls else [])

    def _without_calls(self, pieces: Sequence[str | Thought]) -> list[Piece]:
        if self._calls is None:
            return list(pieces)
        parts: list[Piece] = []
        for piece in pieces:
            parts += [piece] if isinstance(piece, Thought) else self._calls.push(piece)
        return parts


class TemplateReader:
    """By the response template that a model's authors put beside its tokenizer: which regions an answer has."""

    def __init__(
        self, template: dict[str, Any], prompt: str, tools: list[dict[str, Any]] | None, max_calls: int | None = None
    ) -> None:
        """`prompt`: all that the model was shown, since templates may open a region there."""
        hidden = () if tools else (_CALLS,)
        regions = {name: region for name, region in template["fields"].items() if name not in hidden}
        self._parser = ResponseParser({**template, "fields": regions}, prefix=prompt, tools=list(tools or ()))
        self._max_calls = max_calls
        self._region = _CONTENT
        self._unread = ""
        """Of the call that is being written."""
        self._is_broken = False
        self._is_fresh = False
        """White space at the beginning of a region is not told."""
        self.num_calls = 0
        for event in self._parser.initial_events:
            self._piece(event)

    @property
    def is_full(self) -> bool:
        return self.num_calls == self._max_calls

    @property
    def is_thinking(self) -> bool:
        return self._region in _THOUGHTS

    def push(self, text: str) -> list[Piece]:
        if self._is_broken:
            return [text] if text else []
        try:
            return self._pieces(self._parser.feed(text))
        except Exception:
            # The library raises whatever comes to hand for a call that is none: then it is text, like all that follows.
            self._is_broken = True
            return [self._unread + text]

    def flush(self) -> list[Piece]:
        if self._is_broken:
            return []
        try:
            return self._pieces(self._parser.finalize()[1])
        except Exception:
            return [self._unread] if self._unread else []

    def _pieces(self, events: list[dict[str, Any]]) -> list[Piece]:
        return [piece for event in events if (piece := self._piece(event))]

    def _piece(self, event: dict[str, Any]) -> Piece | None:
        match event:
            case {"type": "region_open", "field": region}:
                self._is_fresh = self._is_fresh or region in _THOUGHTS
                self._region = region
            case {"type": "region_chunk", "text": text}:
                return self._told(text)
            case {"type": "region_close", "field": "tool_calls", "value": call}:
                self._region, self._unread = _CONTENT, ""
                return self._call(call["function"])
            case {"type": "region_close"}:
                self._is_fresh = self._region in _THOUGHTS
                self._region = _CONTENT
        return None

    def _told(self, text: str) -> Piece | None:
        if self._region == _CALLS:
            self._unread += text
            return None
        text = text.lstrip() if self._is_fresh else text
        self._is_fresh = self._is_fresh and not text
        if self._region in _THOUGHTS:
            return Thought(text) if text else None
        return text if self._region == _CONTENT else None

    def _call(self, function: dict[str, Any]) -> ToolCall | None:
        if self.is_full:
            return None
        arguments, self.num_calls = function["arguments"], self.num_calls + 1
        worded = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        call_id = f"call_{secrets.token_hex(12)}"
        return ToolCall(index=self.num_calls - 1, id=call_id, name=str(function["name"]), arguments=worded)
