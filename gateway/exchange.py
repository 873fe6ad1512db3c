"""One request to one replica, up to the first byte of its answer; and the ways to end it."""

import asyncio
import logging
import time
from typing import Any

import msgspec

from gateway.admission import Place
from gateway.continuation import Course
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    NoReplicaReady,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimeout,
)
from gateway.events import EventTooLong
from gateway.relay import StreamRelay
from gateway.runtime import Runtime
from gateway.uninterrupted import uninterrupted
from gateway.upstream import QUICK_S, CannotConnect, ConnectionLost, Reply, TransportError, UpstreamSilent
from gateway.usage import Meter, TokenCounts

logger = logging.getLogger(__name__)

MAX_PLAIN_BYTES = 64 * 1024 * 1024
_MAX_ERROR_BYTES = 64 * 1024
_PASSED_ON = frozenset({400, 409, 413, 415, 422})
"""Refusals that are about the caller's request. Others (401, say) are between gateway and worker."""
_FULL = frozenset({429, 503})
"""The replica's line is full, or it is about to end: another may have room, or the same one in a moment."""
_FULL_FOR_S, _LONGEST_FULL_S = 0.5, 5

Answer = bytes | StreamRelay
"""The whole body, or a stream whose first event is there."""


class TryAnother(Exception):
    """This replica gave nothing; another may. `final` is what the caller hears if none does."""

    def __init__(self, final: GatewayError, *, is_declined: bool = False, may_be_stale: bool = False) -> None:
        super().__init__(final.message)
        self.final = final
        self.is_declined = is_declined
        """Nothing was begun: there was no room, or nobody was there. It may be asked again later."""
        self.may_be_stale = may_be_stale
        """A kept-alive connection was closed under our hands: the same replica may well answer on a new one."""


class _Body(msgspec.Struct):
    usage: TokenCounts | None = None


class _Refusal(msgspec.Struct):
    error: dict[str, Any]


class Exchange:
    """To be asked once, and closed."""

    def __init__(self, runtime: Runtime, meter: Meter, place: Place) -> None:
        self._runtime = runtime
        self._meter = meter
        self._place = place
        self._replica = place.replica
        self._reply: Reply | None = None
        self._relay: StreamRelay | None = None
        self._is_open = True
        meter.replica = place.replica
        meter.num_attempts += 1
        self._started_at_s = meter.asked_at_s = time.perf_counter()

    async def ask(self, course: Course) -> Answer:
        """Raises TryAnother, GatewayError; cancelled, it stops the engine and learns what that had used."""
        # In a task of its own: a client that leaves now must not cut the connection before the worker was told to
        # stop, or nobody would know the count.
        asking = asyncio.ensure_future(self._ask(course))
        try:
            await asyncio.wait({asking})
            return asking.result()
        except asyncio.CancelledError:
            await uninterrupted(self._abandon(asking))
            raise
        except BaseException as error:
            self._hold_against(error.final if isinstance(error, TryAnother) else error)
            self.close()
            raise

    async def hang_up(self) -> None:
        """The client has gone in the middle of a stream."""
        if not await self._cancel_upstream():
            await self._drain()
        self.close()

    async def finish(self) -> None:
        """The answer has been read to its last event, if the worker did not break off."""
        self._measure()
        if self._is_open:
            self._runtime.balancer.breaker.succeeded(self._replica)
        if self._relay and self._reply:
            await self._reply.finish()
        self.close()

    def break_off(self) -> None:
        """The worker broke down in the middle of a stream."""
        self._failed()
        self.close()

    def close(self) -> None:
        """Give connection and place back. May be called twice."""
        if not self._is_open:
            return
        self._is_open = False
        self._runtime.balancer.throttle.used(self._replica, self._meter.num_tokens)
        if self._reply:
            self._reply.close()
        self._runtime.admission.give_back(self._place)

    async def _ask(self, course: Course) -> Answer:
        try:
            self._reply = await self._post(course.body_for(self._replica))
            if self._reply.status != 200:
                raise await self._refusal(self._reply)
            if self._meter.is_stream:
                return await self._first_event(self._reply, course)
            return await self._whole_body(self._reply)
        except InvalidRequest as refused:
            # Its provider's API has no words for it; another replica may be able to.
            raise TryAnother(refused) from refused
        except CannotConnect as error:
            raise self._another(error, NoReplicaReady(self._meter.requested_model)) from error
        except UpstreamSilent as error:
            await self._cancel_upstream()
            raise UpstreamTimeout from error
        except (TransportError, EventTooLong) as error:
            raise self._another(error, UpstreamFailed()) from error

    async def _refusal(self, reply: Reply) -> TryAnother | UpstreamRefused:
        """What to raise for an answer that is no success."""
        body = await reply.read(_MAX_ERROR_BYTES)
        if reply.status in _PASSED_ON:
            return _passed_on(reply, body)
        if reply.status in _FULL:
            return TryAnother(_passed_on(reply, body), is_declined=self._has_room_soon(reply))
        logger.error("A replica answered %d: %r", reply.status, body[:500])
        if reply.status == 404:
            # The worker no longer runs that replica, and its next heartbeat will say so.
            return TryAnother(NoReplicaReady(self._meter.requested_model), is_declined=True)
        return TryAnother(UpstreamFailed())

    def _has_room_soon(self, reply: Reply) -> bool:
        """A worker has, in a moment; a provider if it says so, since its quota may also be used up for hours."""
        is_soon = reply.retry_after_s is not None and reply.retry_after_s <= _LONGEST_FULL_S
        return self._replica.hosted is None or is_soon

    async def _post(self, body: bytes) -> Reply:
        reply = await self._head(body)
        self._runtime.balancer.breaker.connected(self._replica)
        if reply.num_requests is not None:
            self._runtime.balancer.heard(self._replica, reply.num_requests)
        return reply

    async def _head(self, body: bytes) -> Reply:
        if self._replica.hosted:
            return await self._runtime.providers.post(self._replica, self._replica.hosted, self._meter.endpoint, body)
        return await self._runtime.upstream.post(
            self._replica, f"/v1/{self._meter.endpoint}", body=body, request_id=self._meter.request_id
        )

    def _hold_against(self, error: BaseException) -> None:
        """What an attempt that gave no answer says of the replica. A full one is well; so is one that found the request
        wrong."""
        match error:
            case NoReplicaReady():
                self._failed(is_unreachable=True)
            case UpstreamFailed() | UpstreamTimeout():
                self._failed()
            case UpstreamRefused() if error.status in _FULL:
                for_s = min(error.retry_after_s or _FULL_FOR_S, _LONGEST_FULL_S)
                self._runtime.balancer.found_full(self._replica, for_s)
            case UpstreamRefused():
                self._runtime.balancer.breaker.succeeded(self._replica)

    def _failed(self, *, is_unreachable: bool = False) -> None:
        self._runtime.balancer.breaker.failed(self._replica, time.monotonic(), is_unreachable=is_unreachable)
        self._runtime.prober.wake()

    def _measure(self) -> None:
        if counts := self._meter.counts:
            elapsed_s = time.perf_counter() - self._started_at_s
            self._runtime.balancer.measured(self._replica, num_tokens=counts.completion_tokens, elapsed_s=elapsed_s)

    def _another(self, error: Exception, final: GatewayError) -> TryAnother:
        logger.warning(
            "Worker %s did not answer request %s: %r", self._replica.worker_name, self._meter.request_id, error
        )
        return TryAnother(
            final,
            is_declined=isinstance(error, CannotConnect),
            may_be_stale=isinstance(error, ConnectionLost),
        )

    async def _first_event(self, reply: Reply, course: Course) -> StreamRelay:
        relay = StreamRelay(reply, self._meter, course, course.successor(self._replica))
        if error := await relay.open():
            raise TryAnother(UpstreamFailed(str(error.get("message") or "The model's worker failed.")))
        self._relay = relay
        return relay

    async def _whole_body(self, reply: Reply) -> bytes:
        body = await reply.read(MAX_PLAIN_BYTES)
        try:
            self._meter.counts = msgspec.json.decode(body, type=_Body).usage
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            odd = UpstreamFailed("The model's worker gave an answer that is not in OpenAI's form.")
            raise TryAnother(odd) from error
        self._measure()
        self._runtime.balancer.breaker.succeeded(self._replica)
        return self._meter.as_requested(body)

    async def _abandon(self, asking: "asyncio.Future[Answer]") -> None:
        """The client has gone while we waited."""
        if not await self._cancel_upstream():
            await asyncio.wait({asking}, timeout=QUICK_S)
            await self._drain()
        asking.cancel()
        await asyncio.wait({asking})
        if not asking.cancelled():
            asking.exception()  # Looked at, so that asyncio does not complain: nobody is left to hear of it.
        self.close()

    async def _drain(self) -> None:
        """The engine had finished before it could be stopped, so its count is on the way."""
        try:
            async with asyncio.timeout(QUICK_S):
                if self._relay:
                    await self._relay.drain()
        except (TimeoutError, TransportError, EventTooLong):
            logger.info("Request %s ended without a count by its engine", self._meter.request_id)

    async def _cancel_upstream(self) -> bool:
        """Whether the matter is closed: the worker ended the request and said what it used, or cannot be talked to."""
        if self._replica.hosted:
            # A provider understands a closed connection, and nothing else.
            return True
        try:
            counts = await self._runtime.upstream.cancel(self._replica, self._meter.request_id)
        except TransportError as error:
            logger.info("Request %s could not be cancelled: %r", self._meter.request_id, error)
            return True
        self._meter.counts = counts or self._meter.counts
        return counts is not None


def _passed_on(reply: Reply, body: bytes) -> UpstreamRefused:
    try:
        error = msgspec.json.decode(body, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = {}
    return UpstreamRefused(reply.status, error, retry_after_s=reply.retry_after_s)
