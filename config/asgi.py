"""The ASGI application: websockets to Channels, `/v1` to the gateway's lean handler, all else to Django."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_asgi_application()

from typing import Any  # noqa: E402

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from accounts.factors import FactorFirst  # noqa: E402
from accounts.gate import GatedSocket  # noqa: E402
from accounts.terms import TermsFirst  # noqa: E402
from chat import live as chat  # noqa: E402
from chat.routing import websocket_urlpatterns as chat_websockets  # noqa: E402
from config import probes  # noqa: E402
from config.body_limit import BodyLimit  # noqa: E402
from config.same_origin import SameOrigin  # noqa: E402
from fleet.routing import websocket_urlpatterns as fleet_websockets  # noqa: E402
from gateway import asgi as gateway  # noqa: E402
from gateway import runtime  # noqa: E402
from gateway.cors import CrossOrigin  # noqa: E402

_live = GatedSocket(URLRouter([*chat_websockets, *fleet_websockets]), [TermsFirst, FactorFirst])
websockets = SameOrigin(AuthMiddlewareStack(_live))

api = CrossOrigin(gateway.application)
probe = probes.Probes()
pages = BodyLimit(django, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Everything that reaches a web process comes in here."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    # A server without lifespan (daphne) starts the gateway here, whatever the first request is for.
    await runtime.ready()
    if scope["type"] == "websocket":
        await websockets(scope, receive, send)
    elif gateway.is_asked(scope["path"]):
        await api(scope, receive, send)
    elif scope["path"] in probes.PATHS:
        await probe(scope, receive, send)
    else:
        await pages(scope, receive, send)


async def lifespan(receive: Any, send: Any) -> None:
    """Starts the gateway before the first request. After the last, keeps the text of running answers and stops it."""
    await receive()
    await runtime.ready()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await chat.shut_down()
    await runtime.stop()
    await send({"type": "lifespan.shutdown.complete"})
