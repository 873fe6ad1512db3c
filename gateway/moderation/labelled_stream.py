"""A streamed answer that a classifier reads: a piece at a time, each before it goes out."""

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.events import split_events
from gateway.moderation.holding import MAX_HELD_BYTES, pieces_of
from gateway.moderation.labelling import OVERLAP_CHARS, PIECE_CHARS
from gateway.moderation.texts import Text

Check = Callable[[list[Text]], Awaitable[Any]]
"""Raises ContentRefused, ContentUnchecked."""


class LabelledStream:
    """Of one answer."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._held = b""
        self._unread: dict[str, str] = {}
        """By choice and field, what has come since the last check, and a little of what came before."""
        self._num_unread = 0

    async def pass_on(self, block: bytes, *, is_last: bool) -> bytes:
        """Whole events, in; those that may go out now: all, or none. Raises ContentRefused, ContentUnchecked."""
        self._held += block
        for event in split_events(block):
            for index, name, text in pieces_of(event):
                key = f"choices[{index}].{name}"
                self._unread[key] = self._unread.get(key, "") + text
                self._num_unread += len(text)
        is_due = self._num_unread >= PIECE_CHARS or is_last or len(self._held) > MAX_HELD_BYTES
        if self._num_unread and not is_due:
            return b""
        return await self._read()

    async def _read(self) -> bytes:
        if self._num_unread:
            await self._check(list(self._unread.items()))
            self._unread = {key: text[-OVERLAP_CHARS:] for key, text in self._unread.items()}
            self._num_unread = 0
        out, self._held = self._held, b""
        return out
