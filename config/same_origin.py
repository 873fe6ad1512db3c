"""Websockets for our own pages only.

A browser sends its cookies along whoever's page opens the socket, and no CSRF token guards a handshake. The list of
allowed hosts does not help: the embedded default allows every host, and another port of the same machine is another
program. So the page must come from the very host and port that it talks to, or from an origin that may post forms.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host


class SameOrigin:
    """The application for handshakes from our own pages and from programs, which send no Origin; others get 403."""

    def __init__(self, application: Callable[..., Awaitable[None]]) -> None:
        self._application = application
        self._denier = WebsocketDenier.as_asgi()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        origin, host = headers.get(b"origin"), headers.get(b"host", b"")
        may_enter = origin is None or is_ours(origin.decode("latin-1"), host.decode("latin-1"))
        await (self._application if may_enter else self._denier)(scope, receive, send)


def is_ours(origin: str, host: str) -> bool:
    """Whether a page of this origin may open sockets on the host that the handshake names."""
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    # Browsers leave a scheme's own port out of both headers, so the two compare as they are.
    is_same = origin.lower() in {f"{scheme}://{host.lower()}" for scheme in ("http", "https")}
    return is_same and validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)
