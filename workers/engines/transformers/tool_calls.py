"""Tool calls in a text as Hermes and Qwen models write them: `<tool_call>{"name": .., "arguments": ..}</tool_call>`."""

import json
import secrets
from typing import Any

from workers.engines.base import ToolCall
from workers.engines.stop_strings import held_back

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"

Piece = str | ToolCall


class ToolCallParser:
    """Follows one text and takes the calls out of it. What is no valid call after all comes back as text."""

    def __init__(self) -> None:
        self._held = ""
        self._is_inside = False
        self._space = ""
        self.num_calls = 0

    def push(self, text: str) -> list[Piece]:
        """What is certain now. Withheld: a call that is not closed, and what may become one, space before included."""
        self._held += text
        pieces: list[Piece] = []
        while (piece := self._next_piece()) is not None:
            pieces.append(piece)
        return [piece for piece in pieces if piece]

    def flush(self) -> list[Piece]:
        """The rest. A call whose end is missing counts if it is whole otherwise."""
        rest, self._held = self._held, ""
        if self._is_inside:
            return [self._parse(rest.removeprefix(_OPEN)) or self._space + rest]
        # Space around calls is no answer.
        return [rest] if rest.strip() or (rest and not self.num_calls) else []

    def _next_piece(self) -> Piece | None:
        if self._is_inside:
            return self._take_call()
        before, tag, after = self._held.partition(_OPEN)
        if tag:
            self._held, self._is_inside = tag + after, True
            shown = before.rstrip()
            self._space = before[len(shown) :]
            return shown
        certain = self._held[: len(self._held) - held_back(self._held, _OPEN)].rstrip()
        self._held = self._held[len(certain) :]
        return certain or None

    def _take_call(self) -> Piece | None:
        body, tag, after = self._held.partition(_CLOSE)
        if not tag:
            return None
        self._held, self._is_inside = after, False
        return self._parse(body.removeprefix(_OPEN)) or self._space + body + tag

    def _parse(self, body: str) -> ToolCall | None:
        try:
            call = json.loads(body)
            name, arguments = call["name"], call.get("arguments", {})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        if not isinstance(name, str):
            return None
        self.num_calls += 1
        return ToolCall(
            index=self.num_calls - 1, id=f"call_{secrets.token_hex(12)}", name=name, arguments=_as_json(arguments)
        )


def _as_json(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
