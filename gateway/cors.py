"""Pages of other sites may call the API where settings.CORS_ALLOWED_ORIGINS names them; by default none may.

Keys come in a header and never in a cookie, so no page can call on a visitor's behalf without a key of its own.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Any, Send], Awaitable[None]]

_DAY_S = b"86400"


class CrossOrigin:
    """Around an ASGI application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        headers = dict(scope["headers"])
        allowed = _allowed(headers.get(b"origin", b""))
        if not allowed:
            await self._application(scope, receive, send)
        elif scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await send({"type": "http.response.start", "status": 204, "headers": [*allowed, *_PREFLIGHT]})
            await send({"type": "http.response.body"})
        else:
            await self._application(scope, receive, _with_headers(send, allowed))


# A star covers any header but Authorization.
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, POST, DELETE"),
    (b"access-control-allow-headers", b"authorization, *"),
    (b"access-control-max-age", _DAY_S),
]


def _allowed(origin: bytes) -> list[tuple[bytes, bytes]]:
    """What tells the browser so; empty where the page may not."""
    origins = settings.CORS_ALLOWED_ORIGINS
    if not origin or ("*" not in origins and origin.decode("latin-1") not in origins):
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"*"),
        (b"vary", b"origin"),
    ]


def _with_headers(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    async def sending(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return sending
