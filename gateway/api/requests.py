"""An HTTP request whose body is read late: only when its sender is known, and no further than allowed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest

from gateway.errors import BodyTooLarge, BodyTooSlow
from gateway.generation import new_request_id
from gateway.presence import Presence

Receive = Callable[[], Awaitable[dict[str, Any]]]


class GatewayRequest(ASGIRequest):
    """What Django and the REST framework expect of a request, and `read_body`."""

    def __init__(self, scope: dict[str, Any], receive: Receive) -> None:
        super().__init__(scope, BytesIO())
        self._receive = receive
        self.request_id = new_request_id()
        self.started_at_s = self.authenticated_at_s = time.perf_counter()
        self.presence = Presence()
        self._watching: asyncio.Task[None] | None = None

    async def read_body(self, limit: int) -> bytes:
        """The whole body, of `limit` bytes at most; from here on, the task that called is cancelled when the client
        goes.

        Raises BodyTooLarge as soon as that is certain, BodyTooSlow, CancelledError if the client goes.
        """
        if self._declared_length() > limit:
            raise _too_large(limit)
        body = await self._received_in_time(limit)
        # The REST framework takes a body without a length for none, and a chunked one has no length.
        self._stream, self.META["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
        self._watching = asyncio.ensure_future(self._watch(asyncio.current_task()))
        return body

    def stop_watching(self) -> None:
        """What the client does from now on is of no interest."""
        if self._watching:
            self._watching.cancel()

    def _declared_length(self) -> int:
        text = self.META.get("CONTENT_LENGTH", "")
        return int(text) if text.isdecimal() and len(text) < 20 else 0

    async def _received_in_time(self, limit: int) -> bytes:
        try:
            async with asyncio.timeout(settings.BODY_TIMEOUT.total_seconds()):
                return await self._received(limit)
        except TimeoutError:
            raise BodyTooSlow("The request body did not arrive in time. Send it again, all at once.") from None

    async def _received(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.presence.leave()
                raise asyncio.CancelledError
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), message.get("more_body", False)
            if size > limit:
                raise _too_large(limit)
        return b"".join(parts)

    async def _watch(self, task: "asyncio.Task[Any] | None") -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.presence.leave()
        if task:
            task.cancel()


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than the {limit} bytes that this server accepts.")
