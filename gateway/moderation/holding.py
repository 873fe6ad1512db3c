"""A streamed answer under content policies: each event waits until nothing that is forbidden can begin in it.

events ── taken ──▶ held, in order ── as much text of the same choice and field has come as is held back ──▶ client
             │                        or that field has ended
             └── something forbidden is whole: ContentRefused; what is held is never shown

A match is looked for whenever text comes, within the last of it and up to the last character but one: that one says
whether a word has ended. Each field of each choice (text, reasoning, the arguments of each tool call) is by itself.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.errors import ContentRefused
from gateway.events import event_data, split_events
from gateway.models import ContentAction, ContentDirection
from gateway.moderation.policies import Finding, Rule
from gateway.moderation.texts import texts_in

MAX_HELD_BYTES = 1024 * 1024
"""Beyond it the oldest event goes: it has been searched, and only what began in it could be missed."""
_LEAST_WINDOW_CHARS = 200
_DONE = b"[DONE]"

Piece = tuple[int, str, str]
"""Choice, field, text."""
Note = Callable[[Iterable[Finding]], None]


class _Choice(msgspec.Struct):
    index: int = 0
    text: str | None = None
    delta: dict[str, Any] | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    error: Any = None


_CHUNK = msgspec.json.Decoder(_Chunk)


@dataclass(slots=True)
class _Field:
    """One field of one choice. Positions count its characters from the beginning of the stream."""

    window: str = ""
    """The end of what has come."""
    length: int = 0
    ended_at: int = 0
    """Up to here it had ended: another field began, or the choice was finished."""
    is_cut: bool = False


@dataclass(slots=True)
class _Held:
    event: bytes
    pieces: list[tuple[_Field, int]] = field(default_factory=list)
    """The fields that it goes on with, and how far each has come by it."""


class HeldStream:
    """Of one answer. `note` writes findings down, and raises ContentRefused for those that are refused."""

    def __init__(self, rules: Sequence[Rule], note: Note) -> None:
        self._rules = list(rules)
        self._note = note
        refusing = [rule for rule in rules if rule.on_output == ContentAction.REFUSE]
        # One more than the word, for the character that says whether it has ended.
        self._hold_back = max((max(rule.hold_back, rule.matcher.longest_word + 2) for rule in refusing), default=0)
        self._window_chars = max(self._hold_back, _LEAST_WINDOW_CHARS) + 1
        self._fields: dict[tuple[int, str], _Field] = {}
        self._speaking: dict[int, str] = {}
        """Of each choice, the field that came last."""
        self._held: deque[_Held] = deque()
        self._num_held_bytes = 0

    def pass_on(self, block: bytes) -> tuple[bytes, ContentRefused | None]:
        """Whole events, in; those that may go out now, and the refusal with which the stream has to end after them."""
        out: list[bytes] = []
        try:
            for event in split_events(block):
                out += self._taken(event)
                out += self._released()
        except ContentRefused as refusal:
            return b"".join(out), refusal
        return b"".join(out), None

    def _released(self) -> Iterator[bytes]:
        while self._held and self._may_go(self._held[0]):
            event = self._held.popleft().event
            self._num_held_bytes -= len(event)
            yield event

    def _taken(self, event: bytes) -> Sequence[bytes]:
        """Hold the event; a comment says nothing and goes at once. Raises ContentRefused."""
        data = event_data(event)
        if not data:
            return (event,)
        chunk = _decoded(data)
        held = _Held(event, [self._heard(*piece) for choice in chunk.choices for piece in _said(choice)])
        self._held.append(held)
        self._num_held_bytes += len(event)
        if chunk.error is not None or data == _DONE:
            self._end_fields()
        for choice in chunk.choices:
            if choice.finish_reason:
                self._end_fields(of=choice.index)
        return ()

    def _heard(self, index: int, name: str, text: str) -> tuple[_Field, int]:
        if self._speaking.get(index) != name:
            self._end_fields(of=index)
            self._speaking[index] = name
        heard = self._fields.setdefault((index, name), _Field())
        heard.window += text
        heard.length += len(text)
        self._search(heard, is_ended=False)
        heard.is_cut |= len(heard.window) > self._window_chars
        heard.window = heard.window[-self._window_chars :]
        return heard, heard.length

    def _end_fields(self, of: int | None = None) -> None:
        """No more comes of them, as far as can be told."""
        for (index, _), heard in self._fields.items():
            if of in (None, index) and heard.ended_at < heard.length:
                self._search(heard, is_ended=True)
                heard.ended_at = heard.length

    def _search(self, heard: _Field, *, is_ended: bool) -> None:
        for rule in tuple(self._rules):
            if match := rule.matcher.find(heard.window, is_cut=heard.is_cut, is_ended=is_ended):
                self._rules.remove(rule)
                self._note([rule.finding(ContentDirection.OUTPUT, match)])

    def _may_go(self, held: _Held) -> bool:
        return self._num_held_bytes > MAX_HELD_BYTES or all(
            end <= heard.ended_at or heard.length - end >= self._hold_back for heard, end in held.pieces
        )


def pieces_of(event: bytes) -> list[Piece]:
    """Of one event."""
    data = event_data(event)
    return [piece for choice in _decoded(data).choices for piece in _said(choice)] if data else []


def _said(choice: _Choice) -> Iterator[Piece]:
    """Pieces of a tool call are told apart by its index, not by their place in the list."""
    fields = {"text": choice.text, **(choice.delta or {})}
    for call in fields.pop("tool_calls", None) or ():
        number = call.get("index", 0) if isinstance(call, dict) else 0
        fields[f"tool_calls[{number}]"] = call
    for where, text in texts_in(fields, ""):
        if text:
            yield choice.index, where, text


def _decoded(data: bytes) -> _Chunk:
    """What is no chunk counts as what is said by it: it must not be a way around."""
    try:
        return _CHUNK.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Chunk(choices=[_Choice(text=data.decode("utf-8", "replace"))] if data != _DONE else [])
