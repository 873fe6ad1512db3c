"""A bound on what Django's handler reads: it keeps a request's whole body on disk before any view may refuse it."""

from collections.abc import Awaitable, Callable
from typing import Any

Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

_TOO_LARGE = b"The request is larger than this address takes.\n"


class BodyLimit:
    """The application with bodies of `max_bytes` at most; a larger one gets 413, or is cut off where it lied."""

    def __init__(self, application: Callable[..., Awaitable[None]], max_bytes: int) -> None:
        self._application = application
        self._max_bytes = max_bytes

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if self._announced(scope) > self._max_bytes:
            await _refuse(send)
        else:
            await self._application(scope, self._counted(receive), send)

    def _announced(self, scope: Any) -> int:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        return int(length) if length.isdigit() else 0

    def _counted(self, receive: Receive) -> Receive:
        num_bytes = 0

        async def counted() -> Event:
            nonlocal num_bytes
            event = await receive()
            num_bytes += len(event.get("body", b""))
            if num_bytes > self._max_bytes:
                return {"type": "http.disconnect"}
            return event

        return counted


async def _refuse(send: Send) -> None:
    headers = [
        (b"content-type", b"text/plain"),
        (b"content-length", b"%d" % len(_TOO_LARGE)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": _TOO_LARGE, "more_body": False})
