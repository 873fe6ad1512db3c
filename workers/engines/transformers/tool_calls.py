"""Calls of tools in an answer's text, taken out of it while it grows, whatever the model's way of writing them."""

import json
import secrets
from typing import Any

from workers.engines.base import ToolCall
from workers.engines.stop_strings import held_back
from workers.engines.transformers.call_formats import Call, CallFormat

_NOT_CALLS = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


class ToolCallParser:
    """Follows one text and takes the calls out of it. What is no valid call after all comes back as text."""

    def __init__(self, form: CallFormat, max_calls: int | None = None) -> None:
        """`max_calls`: those beyond are dropped."""
        self._form = form
        self._max_calls = max_calls
        self._held = ""
        self._is_inside = False
        self._is_at_start = True
        self._space = ""
        self.num_calls = 0

    @property
    def is_full(self) -> bool:
        """No further call may come."""
        return self.num_calls == self._max_calls

    def push(self, text: str) -> list[str | ToolCall]:
        """What is certain now. Withheld: a call that is not closed, and what may become one, space before included."""
        self._held += text
        pieces: list[str | ToolCall] = []
        while (found := self._next_pieces()) is not None:
            pieces += found
        return [piece for piece in pieces if piece]

    def flush(self) -> list[str | ToolCall]:
        """The rest. A call whose end is missing counts if it is whole otherwise."""
        rest, self._held = self._held, ""
        if self._is_inside:
            return self._read(rest)
        # Space around calls is no answer.
        return [rest] if rest.strip() or (rest and not self.num_calls) else []

    def _next_pieces(self) -> list[str | ToolCall] | None:
        """None: nothing is certain before more has come."""
        if self._is_inside:
            return self._take_region()
        if (at := self._opening_at()) is not None:
            shown = self._held[:at].rstrip()
            self._space, self._held = self._held[len(shown) : at], self._held[at:]
            self._is_inside = True
            return [shown]
        return self._take_text()

    def _take_text(self) -> list[str | ToolCall] | None:
        certain = self._held[: len(self._held) - self._num_ambiguous()].rstrip()
        self._held = self._held[len(certain) :]
        self._is_at_start = self._is_at_start and not certain
        return [certain] if certain else None

    def _take_region(self) -> list[str | ToolCall] | None:
        body, mark, after = self._held.partition(self._form.closing) if self._form.closing else ("", "", "")
        if not mark:
            return None
        self._held, self._is_inside, self._is_at_start = after, False, False
        return self._read(body + mark)

    def _opening_at(self) -> int | None:
        places = [self._held.find(opening) for opening in self._form.openings if opening in self._held]
        if not places:
            return None
        is_late = not self._is_at_start or bool(self._held[: min(places)].strip())
        return None if self._form.is_only_first and is_late else min(places)

    def _num_ambiguous(self) -> int:
        if self._form.is_only_first and not self._is_at_start:
            return 0
        return max(held_back(self._held, opening) for opening in self._form.openings)

    def _read(self, region: str) -> list[str | ToolCall]:
        try:
            calls = self._form.read(region)
        except _NOT_CALLS:
            calls = []
        if not calls:
            return [self._space + region]
        room = len(calls) if self._max_calls is None else self._max_calls - self.num_calls
        return [self._numbered(call) for call in calls[:room]]

    def _numbered(self, call: Call) -> ToolCall:
        name, arguments = call
        self.num_calls += 1
        return ToolCall(
            index=self.num_calls - 1, id=f"call_{secrets.token_hex(12)}", name=name, arguments=_as_json(arguments)
        )


def _as_json(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
