"""The one road that every generation takes, whoever asked: route, relay, account.

call ── open_generation ──▶ Generation ── async for ──▶ bytes for the client ── leaving it ──▶ one UsageRecord
             │                                                   │
             └── refused or failed: GatewayError, one record     └── left early: the engine is stopped
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

import msgspec

from gateway.balancer import Wanted
from gateway.continuation import Course
from gateway.errors import ContentRefused, ContentUnchecked, GatewayError, InternalError
from gateway.events import DONE
from gateway.exchange import Answer, Exchange
from gateway.keyring import Caller
from gateway.models import UsageState
from gateway.moderation.screening import UNSCREENED, Screening, screening_for
from gateway.opening import Opening
from gateway.presence import Presence
from gateway.queued_generation import QueuedGeneration, given_up
from gateway.receipt import Receipt
from gateway.relay import StreamBroken, StreamRelay
from gateway.reserving import Size, reserve
from gateway.runtime import current
from gateway.transcript import Transcript
from gateway.uninterrupted import uninterrupted
from gateway.usage import Meter
from gateway.waiting import News
from protocol import transcription
from protocol.endpoints import CAPABILITIES
from protocol.parameters import CHOICES

__all__ = ["Call", "Caller", "Generation", "QueuedGeneration", "new_request_id", "open_generation", "record_refusal"]

logger = logging.getLogger(__name__)

_THE_POLICIES = Caller(user_id=None, user_name="", key_id=None, key_name="content policy")
_WITHOUT_TOKENS = frozenset({"embeddings", "moderations", transcription.ENDPOINT})
"""Endpoints whose answers have none."""
_WITH_USAGE = msgspec.Raw(b'{"include_usage":true}')


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is asked, and by whom. The body is OpenAI's, checked already."""

    caller: Caller
    endpoint: str
    """One of protocol.endpoints."""
    model: str
    body: bytes | dict[str, Any]
    stream: bool
    request_id: str
    session: str = ""
    """Requests of one session like to go to one replica. Empty: the caller is the session."""
    beginning: str = ""
    """How the conversation begins, the same for all its turns: its replica may have that in a cache."""
    address: str = ""
    """From where it was sent; empty in the chat."""
    num_prompt_bytes: int | None = None
    """How long the prompt is, at most, where much of the body is no text; None: as long as the body."""
    max_tokens: int | None = None
    """That all answers together may have; None: as many as fit."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """What a replica must be able to do beyond the endpoint itself, each with the parameter that asks for it."""
    presence: Presence = field(default_factory=Presence)


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
        self.headers = opening.meter.headers
        self._exchange = exchange
        self._answer = answer
        self.is_stream = isinstance(answer, StreamRelay)
        screening = opening.screening if self.is_stream else None
        self._held = screening.held_stream() if screening else None
        self._refusal: ContentRefused | None = None
        """With which the stream has to end."""
        self._labelled = screening.labelled_stream() if screening else None
        self.receipt: Receipt | None = _receipt(opening)
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
        try:
            while not self._meter.is_settled:
                part = await self._next_part(self._answer)
                if self._answer.ending and not self._refusal:
                    # Before the last bytes leave: the client hangs up on [DONE], and what it saw end must be on record.
                    self._settle(self._answer.ending, self._answer.error_code)
                if part:
                    yield part
                if self._refusal:
                    raise self._refusal
        except (ContentRefused, ContentUnchecked) as refusal:
            yield await uninterrupted(self._refuse(refusal))

    async def _next_part(self, relay: StreamRelay) -> bytes:
        """May be empty. Raises ContentRefused, ContentUnchecked."""
        try:
            part = await relay.next()
        except StreamBroken as broken:
            part = b"" if await self._goes_on() else relay.cut(broken)
        if self._held:
            part, self._refusal = self._held.pass_on(part)
        if self._labelled:
            part = await self._labelled.pass_on(part, is_last=self._has_ended or self._refusal is not None)
        return part

    @property
    def _has_ended(self) -> bool:
        return isinstance(self._answer, StreamRelay) and self._answer.ending is not None

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

    async def _refuse(self, refusal: ContentRefused | ContentUnchecked) -> bytes:
        """End the stream of which a part may not be said. The last bytes for the client."""
        if not self._has_ended:
            await self._exchange.hang_up()
        self._settle(UsageState.REFUSED if refusal.status < 500 else UsageState.FAILED, refusal.code)
        return refusal.event() + DONE

    def _settle(self, state: UsageState, error_code: str | None = None) -> None:
        self._meter.settle(state, status_code=self.status, error_code=error_code)

    async def _leave(self) -> None:
        if self._meter.is_settled:
            await self._exchange.finish()
        else:
            await self._exchange.hang_up()
            self._meter.settle_cut(self.status)


async def open_generation(call: Call) -> Generation | QueuedGeneration:
    """Route the call and await the first byte of its answer; for a stream, its first event, or that it has to wait.

    Raises GatewayError. However it ends, there is one record; cancelled, it stops the engine.
    """
    runtime = current()
    runtime.journal.check()
    course = _course(call)
    meter = meter_of(call, len(course.body) if call.num_prompt_bytes is None else call.num_prompt_bytes)
    screening = await _screened(call, meter, course.body)
    await reserve_for(call, meter)
    opening = Opening(
        runtime=runtime,
        meter=meter,
        course=course,
        wanted=_wanted(call),
        session=f"{call.caller.user_id}/{call.session}" if call.session else "",
        screening=screening,
    )
    return await (_opened_or_queued(opening) if call.stream else _opened(opening))


async def _screened(call: Call, meter: Meter, body: bytes) -> Screening | None:
    """The content policies at work on it; None where none holds. Raises ContentRefused, recorded."""
    snapshot = current().poller.latest
    if not snapshot.content_rules or call.endpoint in UNSCREENED:
        return None
    screening = screening_for(
        snapshot.content_rules,
        models=snapshot.policed_as(call.model),
        team_id=call.caller.team_id,
        meter=meter,
        ask=partial(_labels, call.presence),
    )
    try:
        if screening:
            await screening.check_request(body)
    except BaseException as error:
        raise settle_failed(meter, error) from None
    return screening


async def _labels(presence: Presence, classifier: str, texts: list[str]) -> bytes:
    """A request of its own, within that one and on nobody's account. Raises GatewayError."""
    asked = Call(
        caller=_THE_POLICIES,
        endpoint="moderations",
        model=classifier,
        body={"model": classifier, "input": texts},
        stream=False,
        request_id=new_request_id(),
        presence=presence,
    )
    async with await open_generation(asked) as generation:
        return b"".join([part async for part in generation])


async def reserve_for(call: Call, meter: Meter) -> None:
    """Before it waits for its turn: who may not go on now is told so at once. Raises GatewayError, recorded."""
    runtime = current()
    max_tokens = 0 if call.endpoint in _WITHOUT_TOKENS else call.max_tokens
    # A recording's length says nothing of tokens.
    num_bytes = 0 if call.endpoint == transcription.ENDPOINT else meter.num_prompt_bytes
    size = Size(model=call.model, num_bytes=num_bytes, max_tokens=max_tokens)
    try:
        meter.reservation = await reserve(runtime.limiter, runtime.poller.latest, call.caller, size)
    except BaseException as error:
        raise settle_failed(meter, error) from None


async def _opened(opening: Opening) -> Generation:
    try:
        exchange, answer = await opening.run()
        await _check_answer(opening, exchange, answer)
    except BaseException as error:
        raise settle_failed(opening.meter, error) from None
    return Generation(opening, exchange, answer)


async def _check_answer(opening: Opening, exchange: Exchange, answer: Answer) -> None:
    """Of one that is whole already. Raises ContentRefused, ContentUnchecked."""
    if opening.screening and not isinstance(answer, StreamRelay):
        try:
            await opening.screening.check_answer(answer)
        except BaseException:
            exchange.close()
            raise


async def _opened_or_queued(opening: Opening) -> Generation | QueuedGeneration:
    news = News()
    opening.tell = news.tell
    work = asyncio.ensure_future(_opened(opening))
    try:
        await news.wait_for(work)
    except asyncio.CancelledError:
        await uninterrupted(given_up(work))
        raise
    if work.done():
        return work.result()
    opening.meter.told_status = QueuedGeneration.status
    return QueuedGeneration(work, news, opening.meter.headers)


def record_refusal(call: Call, error: BaseException) -> None:
    """The record of a request that did not get as far as `open_generation`."""
    settle_failed(meter_of(call, 0), error)


def settle_failed(meter: Meter, error: BaseException) -> BaseException:
    """The record of a request that ended before its first byte. Gives what the caller should hear."""
    if isinstance(error, asyncio.CancelledError):
        meter.settle_cut()
        return error
    if not isinstance(error, GatewayError):
        logger.error("Request %s met a fault of the gateway", meter.request_id, exc_info=error)
        error = InternalError()
    state = UsageState.REFUSED if error.status < 500 else UsageState.FAILED
    meter.settle(state, status_code=error.status, error_code=error.code)
    return error


def meter_of(call: Call, num_bytes: int) -> Meter:
    """To be settled once. `num_bytes`: how long the prompt is, at most."""
    return Meter(
        journal=current().journal,
        caller=call.caller,
        request_id=call.request_id,
        endpoint=call.endpoint,
        model=call.model,
        requested_model=call.model,
        is_stream=call.stream,
        presence=call.presence,
        num_prompt_bytes=num_bytes,
        address=call.address,
    )


def _receipt(opening: Opening) -> Receipt | None:
    """Of an answer whose first byte has just come."""
    meter, fleet = opening.meter, opening.runtime.poller.latest.fleet
    if meter.replica is None or meter.asked_at_s is None:
        return None
    model = fleet.models.get(meter.model)
    return Receipt(
        replica=meter.replica,
        policy=model.balancing_policy.value if model else "",
        num_attempts=meter.num_attempts,
        queued_s=meter.queued_s,
        routed_s=meter.asked_at_s - meter.started_at_s - meter.queued_s,
        upstream_s=time.perf_counter() - meter.asked_at_s,
    )


def _wanted(call: Call) -> Wanted:
    who = f"{call.caller.user_id}/{call.caller.key_id}/{call.session}"
    return Wanted(
        capability=CAPABILITIES[call.endpoint], session=who, beginning=call.beginning or who, needs=call.needs
    )


def _course(call: Call) -> Course:
    body, wants_usage = _upstream_body(call)
    # Of several answers at a time it could not be said how far each had come.
    is_continuable = call.stream and call.endpoint == "chat/completions" and CHOICES not in call.needs
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
