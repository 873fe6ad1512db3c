"""The one road that every generation takes, whoever asked: route, relay, account.

call ── open_generation ──▶ Generation ── async for ──▶ bytes for the client ── leaving it ──▶ one UsageRecord
             │                                                   │
             └── refused or failed: GatewayError, one record     └── left early: the engine is stopped
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import msgspec

from gateway.balancer import Wanted
from gateway.continuation import Course
from gateway.errors import GatewayError, InternalError
from gateway.events import DONE
from gateway.exchange import Answer, Exchange
from gateway.keyring import Caller
from gateway.models import UsageState
from gateway.opening import CAPABILITIES, Opening
from gateway.relay import StreamBroken, StreamRelay
from gateway.runtime import current
from gateway.transcript import Transcript
from gateway.uninterrupted import uninterrupted
from gateway.usage import CLIENT_CLOSED_REQUEST, Meter
from gateway.waiting import News

__all__ = ["Call", "Caller", "Generation", "QueuedGeneration", "new_request_id", "open_generation", "record_refusal"]

logger = logging.getLogger(__name__)

_WITH_USAGE = msgspec.Raw(b'{"include_usage":true}')


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is asked, and by whom. The body is OpenAI's, checked already."""

    caller: Caller
    endpoint: str
    """"chat/completions", "completions" or "embeddings"."""
    model: str
    body: bytes | dict[str, Any]
    stream: bool
    request_id: str
    session: str = ""
    """Requests of one session like to go to one replica. Empty: the caller is the session."""
    beginning: str = ""
    """How the conversation begins, the same for all its turns: its replica may have that in a cache."""


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


def new_request_id() -> str:
    """Ours alone, never the client's: the usage record is known by it."""
    return f"req_{uuid.uuid4().hex}"


class Generation:
    """An answer of which the first byte is there. Iterate for the bytes that the client should get.

    An async context manager: leaving it, in whatever way, ends the work and leaves exactly one record. For a stream
    the bytes are whole events, the last of them [DONE]; a plain answer is one piece.
    """

    status = 200

    def __init__(self, opening: Opening, exchange: Exchange, answer: Answer) -> None:
        self._meter = opening.meter
        self._opening = opening
        self._exchange = exchange
        self._answer = answer
        self.is_stream = isinstance(answer, StreamRelay)
        if not self.is_stream:
            # All of it is here: whether the client stays to receive it changes nothing.
            self._settle(UsageState.COMPLETE)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self._meter.is_settled and not self.is_stream:
            self._exchange.close()
        else:
            await uninterrupted(self._leave())

    async def _parts(self) -> AsyncIterator[bytes]:
        if not isinstance(self._answer, StreamRelay):
            yield self._answer
            return
        while not self._meter.is_settled:
            part = await self._next_part(self._answer)
            if self._answer.ending:
                # Before the last bytes leave: the client hangs up on [DONE], and what it saw end must be on record.
                self._settle(self._answer.ending, self._answer.error_code)
            if part:
                yield part

    async def _next_part(self, relay: StreamRelay) -> bytes:
        try:
            return await relay.next()
        except StreamBroken as broken:
            return b"" if await self._goes_on() else relay.cut(broken)

    async def _goes_on(self) -> bool:
        """Whether another replica goes on with the stream of one that has died."""
        self._exchange.break_off()
        if not self._opening.course.broke_off():
            return False
        try:
            self._exchange, self._answer = await self._opening.go_on()
        except GatewayError as error:
            logger.info("Request %s could not go on elsewhere: %s", self._meter.request_id, error)
            return False
        return True

    def _settle(self, state: UsageState, error_code: str | None = None) -> None:
        self._meter.settle(state, status_code=self.status, error_code=error_code)

    async def _leave(self) -> None:
        if self._meter.is_settled:
            await self._exchange.finish()
        else:
            await self._exchange.hang_up()
            self._settle(UsageState.CUT_BY_CLIENT)


class QueuedGeneration:
    """A stream whose request still waits for its turn: comments say how it stands, then comes what a Generation gives.

    To be used as one. What fails after this is told as an error event, since the client has been told 200.
    """

    status, is_stream = 200, True

    def __init__(self, opening: "asyncio.Task[Generation]", news: News) -> None:
        self._opening = opening
        self._news = news

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await uninterrupted(_given_up(self._opening))

    async def _parts(self) -> AsyncIterator[bytes]:
        while not self._opening.done():
            if comment := self._news.comment():
                yield comment
            await self._news.wait_for(self._opening)
        try:
            generation = self._opening.result()
        except GatewayError as error:
            yield error.event() + DONE
            return
        async for part in generation:
            yield part


async def open_generation(call: Call) -> Generation | QueuedGeneration:
    """Route the call and await the first byte of its answer; for a stream, its first event, or that it has to wait.

    Raises GatewayError. However it ends, there is one record; cancelled, it stops the engine.
    """
    runtime = current()
    runtime.journal.check()
    course = _course(call)
    meter = _meter(call, len(course.body))
    opening = Opening(
        runtime=runtime,
        meter=meter,
        course=course,
        wanted=_wanted(call),
        session=f"{call.caller.user_id}/{call.session}" if call.session else "",
    )
    return await (_opened_or_queued(opening) if call.stream else _opened(opening))


async def _opened(opening: Opening) -> Generation:
    try:
        exchange, answer = await opening.run()
    except BaseException as error:
        raise settle_failed(opening.meter, error) from None
    return Generation(opening, exchange, answer)


async def _opened_or_queued(opening: Opening) -> Generation | QueuedGeneration:
    news = News()
    opening.tell = news.tell
    work = asyncio.ensure_future(_opened(opening))
    try:
        await news.wait_for(work)
    except asyncio.CancelledError:
        await uninterrupted(_given_up(work))
        raise
    if work.done():
        return work.result()
    opening.meter.told_status = QueuedGeneration.status
    return QueuedGeneration(work, news)


async def _given_up(opening: "asyncio.Task[Generation]") -> None:
    """Its caller has gone, or had all of it. Leaves its record, if there is none yet."""
    opening.cancel()
    await asyncio.wait({opening})
    if not opening.cancelled() and not opening.exception():
        async with opening.result():
            pass


def record_refusal(call: Call, error: BaseException) -> None:
    """The record of a request that did not get as far as `open_generation`."""
    settle_failed(_meter(call, 0), error)


def settle_failed(meter: Meter, error: BaseException) -> BaseException:
    """The record of a request that ended before its first byte. Gives what the caller should hear."""
    if isinstance(error, asyncio.CancelledError):
        meter.settle(UsageState.CUT_BY_CLIENT, status_code=CLIENT_CLOSED_REQUEST)
        return error
    if not isinstance(error, GatewayError):
        logger.error("Request %s met a fault of the gateway", meter.request_id, exc_info=error)
        error = InternalError()
    state = UsageState.REFUSED if error.status < 500 else UsageState.FAILED
    meter.settle(state, status_code=error.status, error_code=error.code)
    return error


def _meter(call: Call, num_bytes: int) -> Meter:
    return Meter(
        journal=current().journal,
        caller=call.caller,
        request_id=call.request_id,
        endpoint=call.endpoint,
        model=call.model,
        requested_model=call.model,
        is_stream=call.stream,
        num_prompt_bytes=num_bytes,
    )


def _wanted(call: Call) -> Wanted:
    who = f"{call.caller.user_id}/{call.caller.key_id}/{call.session}"
    return Wanted(capability=CAPABILITIES[call.endpoint], session=who, beginning=call.beginning or who)


def _course(call: Call) -> Course:
    body, wants_usage = _upstream_body(call)
    is_continuable = call.stream and call.endpoint == "chat/completions"
    return Course(
        body=body, asked_for=call.model, wants_usage=wants_usage, transcript=Transcript() if is_continuable else None
    )


def _upstream_body(call: Call) -> tuple[bytes, bool]:
    """The body for the worker, and whether the client wants to see the usage chunk.

    The bytes go as they came, but that usage is always asked for.
    """
    body = call.body if isinstance(call.body, bytes) else msgspec.json.encode(call.body)
    if not call.stream:
        return body, False
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    options = msgspec.json.decode(fields.get("stream_options", b"null"), type=_StreamOptions | None)
    if options and options.include_usage:
        return body, True
    return msgspec.json.encode({**fields, "stream_options": _WITH_USAGE}), False
