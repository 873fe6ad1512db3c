"""What a chat stream has said so far: what another replica needs to know to go on with it."""

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.events import event_data, split_events

_MAX_UNREAD_BYTES = 64 * 1024
_MAX_CHARS = 1024 * 1024
"""Beyond it an answer is not continued: what is kept for the rare case must stay small in the common one."""
# Within a JSON string each of these quotes would be escaped: nothing that people write can look like it.
_TOKEN_IDS = re.compile(rb',"token_ids":\[[\d,]*\]')


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None
    token_ids: list[int] | None = None


class _Chunk(msgspec.Struct):
    id: str = ""
    created: int = 0
    model: str = ""
    choices: list[_Choice] = []


_CHUNK = msgspec.json.Decoder(_Chunk)


@dataclass(slots=True)
class Said:
    """`token_ids` holds one for each token that was generated, or nothing where the engine does not tell them."""

    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    num_deltas: int = 0

    @property
    def num_tokens(self) -> int:
        """Exact where the engine tells its tokens, else by the number of deltas."""
        return len(self.token_ids) or self.num_deltas


class Transcript:
    """Follows one stream. Events are only kept as they pass; they are read when many have piled up, or on demand."""

    def __init__(self) -> None:
        self.identity: dict[str, Any] = {}
        """`id`, `created` and `model` of the first chunk: a client must see the same in all."""
        self._said = Said()
        self._unread: list[bytes] = []
        self._num_unread_bytes = 0
        self._can_be_continued = True

    def add(self, block: bytes) -> None:
        """Whole events, as the worker sent them."""
        self._unread.append(block)
        self._num_unread_bytes += len(block)
        if self._num_unread_bytes > _MAX_UNREAD_BYTES:
            self._read()

    def said(self) -> Said | None:
        """Everything so far; None where nobody can go on: after tool calls, reasoning, an end, or a whole book."""
        self._read()
        return self._said if self._can_be_continued else None

    def _read(self) -> None:
        blocks, self._unread, self._num_unread_bytes = self._unread, [], 0
        for block in blocks:
            for event in split_events(block):
                self._take(event_data(event))
        self._can_be_continued &= len(self._said.text) <= _MAX_CHARS

    def _take(self, data: bytes) -> None:
        try:
            chunk = _CHUNK.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if chunk.id and not self.identity:
            self.identity = {"id": chunk.id, "created": chunk.created, "model": chunk.model}
        for choice in chunk.choices:
            self._hear(choice)

    def _hear(self, choice: _Choice) -> None:
        delta = choice.delta
        ends = choice.finish_reason or delta.tool_calls or delta.function_call or delta.reasoning_content
        if choice.index or ends:
            self._can_be_continued = False
        if self._can_be_continued:
            self._said.text += delta.content or ""
            self._said.token_ids += choice.token_ids or []
            self._said.num_deltas += bool(delta.content)


def without_token_ids(block: bytes) -> bytes:
    """The events as the client should get them: it did not ask for token ids."""
    return _TOKEN_IDS.sub(b"", block)
