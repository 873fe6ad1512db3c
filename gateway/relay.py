"""A stream from a worker → the bytes for the client, counted on the way.

Events are passed on as they came; only those that may carry usage, an error or the end are looked into.
"""

import logging
from typing import Any

import msgspec

from gateway.continuation import Course, Successor
from gateway.errors import GatewayError, StreamCut, UpstreamTimeout
from gateway.events import DONE, EventBuffer, EventTooLong, event_data, split_events
from gateway.models import UsageState
from gateway.transcript import without_token_ids
from gateway.upstream import ConnectionLost, Reply, TransportError, UpstreamSilent
from gateway.usage import Meter, TokenCounts

logger = logging.getLogger(__name__)

# In a JSON string these quotes would be escaped, so text that people write cannot be mistaken for a key. Engines that
# send usage say `"usage":null` in every other chunk: those are not worth a look.
_WORTH_A_LOOK = (b'"usage":{', b'"usage": {', b'"error"', b"[DONE]")


class _Chunk(msgspec.Struct):
    choices: list[Any] = []
    usage: TokenCounts | None = None
    error: dict[str, Any] | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)


class StreamBroken(Exception):
    """The worker broke off. `event` is what the client should hear unless another one goes on."""

    def __init__(self, event: bytes, code: str) -> None:
        super().__init__(code)
        self.event = event
        self.code = code


class StreamRelay:
    """One stream of one replica. `ending` is None until it has ended; then it says how."""

    def __init__(self, reply: Reply, meter: Meter, course: Course, successor: Successor | None) -> None:
        self._reply = reply
        self._meter = meter
        self._course = course
        self._successor = successor
        self._buffer = EventBuffer()
        self._first = b""
        self._has_begun = False
        self._broken: StreamBroken | None = None
        if successor and not successor.counts_exactly:
            meter.counts_are_exact = False
        self.ending: UsageState | None = None
        self.error_code: str | None = None

    async def open(self) -> dict[str, Any] | None:
        """Await the first event. Gives the error if it is one. Raises TransportError, EventTooLong."""
        while not self._first:
            chunk = await self._reply.chunk()
            if not chunk:
                raise ConnectionLost("the stream ended before its first event")
            self._first = self._buffer.feed(chunk)
        return _decoded(event_data(next(split_events(self._first)))).error

    async def next(self) -> bytes:
        """The next bytes for the client; may be empty. Raises StreamBroken, once all before it was given out."""
        if self._broken:
            raise self._broken
        try:
            block, self._first = self._first or await self._next_block(), b""
        except (TransportError, EventTooLong) as error:
            raise self._broken_by(error) from error
        return self._passed_on(block) if block else self._ended_early()

    def cut(self, broken: StreamBroken) -> bytes:
        """Nobody goes on: the last bytes for the client."""
        self.ending, self.error_code = UsageState.CUT_BY_UPSTREAM, broken.code
        return broken.event + DONE

    async def drain(self) -> None:
        """Read to the end for the sake of the count alone. Raises TransportError, EventTooLong."""
        while self.ending is None and self._broken is None:
            block, self._first = self._first or await self._next_block(), b""
            if not block:
                return
            self._passed_on(block)

    async def _next_block(self) -> bytes:
        """Whole events; empty at the end of the stream."""
        while chunk := await self._reply.chunk():
            if block := self._buffer.feed(chunk):
                return block
        return b""

    def _passed_on(self, block: bytes) -> bytes:
        block = self._meter.as_requested(block)
        if self._course.transcript:
            self._course.transcript.add(block)
            block = without_token_ids(block)
        if self._successor or any(mark in block for mark in _WORTH_A_LOOK):
            return b"".join(map(self._inspected, split_events(block)))
        self._count(block)
        return block

    def _inspected(self, event: bytes) -> bytes:
        if self._broken:
            return b""
        data = event_data(event)
        if data == b"[DONE]":
            self.ending = UsageState.COMPLETE
            return event
        chunk = _decoded(data)
        if chunk.error is not None:
            self._broken = StreamBroken(event, str(chunk.error.get("code") or StreamCut.code))
            return b""
        return self._counted(event if self._successor is None else self._successor.worded(event))

    def _counted(self, event: bytes) -> bytes:
        chunk = _decoded(event_data(event))
        if chunk.usage is not None:
            self._meter.counts = chunk.usage
        if chunk.choices:
            self._count(event)
        is_only_usage = chunk.usage is not None and not chunk.choices
        return b"" if is_only_usage and not self._course.wants_usage else event

    def _count(self, block: bytes) -> None:
        """Deltas by the number of their `choices`; the first chunk of a chat gives the role and no text."""
        num = block.count(b'"choices"')
        if not self._has_begun and num:
            self._has_begun = True
            num -= b'"role"' in block
        if num:
            self._meter.saw_deltas(num)

    def _ended_early(self) -> bytes:
        """The connection closed in good order, but without [DONE]. Whoever has sent the usage has sent everything."""
        if self._meter.counts is None:
            raise self._broken_by(TransportError("the stream ended without [DONE]"))
        self.ending = UsageState.COMPLETE
        return DONE

    def _broken_by(self, cause: Exception) -> StreamBroken:
        replica = self._meter.replica
        logger.warning(
            "Request %s was cut in the middle by worker %s: %r",
            self._meter.request_id,
            replica.worker_name if replica else "",
            cause,
        )
        error: GatewayError = UpstreamTimeout() if isinstance(cause, UpstreamSilent) else StreamCut()
        return StreamBroken(error.event(), str(error.code))


def _decoded(data: bytes) -> _Chunk:
    """What the event carries, as far as it concerns us; nothing where it is no JSON object of that kind."""
    try:
        return _CHUNK.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Chunk()
