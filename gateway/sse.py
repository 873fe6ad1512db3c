"""A chat's stream as typed pieces, for callers inside the process."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from gateway.admission import Standing
from gateway.errors import GatewayError, StreamCut
from gateway.events import event_data, split_events
from gateway.generation import Generation, QueuedGeneration
from gateway.usage import TokenCounts
from gateway.waiting import standing_in


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """Some more text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The last piece of a stream that did not fail. `usage` only where the call asked for it in `stream_options`."""

    finish_reason: str
    usage: TokenCounts | None


class StreamFailed(GatewayError):
    """The stream ended with an error event; message and code are the event's."""

    status = 502


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Error(msgspec.Struct):
    message: str = ""
    code: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = msgspec.field(default_factory=list)
    usage: TokenCounts | None = None
    error: _Error | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)


async def text_deltas(
    generation: Generation | QueuedGeneration,
) -> AsyncGenerator[Standing | TextDelta | Finished, None]:
    """How the request stands in the queue, while it does; deltas; then Finished. Raises StreamFailed.

    Close the iterator, or leave the generation, to stop early.
    """
    finish_reason, usage = "stop", None
    async with aclosing(_chunks(generation)) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, Standing):
                yield chunk
                continue
            usage = chunk.usage or usage
            for choice in chunk.choices:
                finish_reason = choice.finish_reason or finish_reason
                if choice.delta.content:
                    yield TextDelta(text=choice.delta.content)
    yield Finished(finish_reason=finish_reason, usage=usage)


async def _chunks(generation: Generation | QueuedGeneration) -> AsyncGenerator[_Chunk | Standing, None]:
    async for block in generation:
        for event in split_events(block):
            if chunk := standing_in(event) or _chunk(event_data(event)):
                yield chunk


def _chunk(data: bytes) -> _Chunk | None:
    """None for a comment and for [DONE]. Raises StreamFailed."""
    if not data or data == b"[DONE]":
        return None
    try:
        chunk = _CHUNK.decode(data)
    except msgspec.DecodeError as error:
        raise StreamFailed("The model's worker sent what is no chunk of a chat.", code=StreamCut.code) from error
    if chunk.error:
        raise StreamFailed(chunk.error.message, code=chunk.error.code or StreamCut.code)
    return chunk
