from uuid import uuid4

import pytest
from channels.testing import WebsocketCommunicator

from config.asgi import websockets
from config.same_origin import SameOrigin

OURS = "flotilla.example:8000"


async def accepting(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})


async def may_open(origin: str | None, host: str = OURS) -> bool:
    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin is not None else [])
    connected, _ = await WebsocketCommunicator(SameOrigin(accepting), "/ws/", headers=headers).connect(timeout=30)
    return connected


@pytest.mark.parametrize("origin", ["http://flotilla.example:8000", "https://Flotilla.example:8000"])
async def test_our_own_page_opens_a_socket(settings, origin):
    settings.ALLOWED_HOSTS = ["flotilla.example"]
    assert await may_open(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://flotilla.example:3000",
        "http://flotilla.example",
        "http://flotilla.example:8000.evil.example",
        "http://evil.example/flotilla.example:8000",
        "null",
        "",
    ],
)
async def test_a_page_from_elsewhere_does_not_even_where_every_host_is_allowed(settings, origin):
    settings.ALLOWED_HOSTS = ["*"]
    assert not await may_open(origin)


async def test_a_host_that_is_not_allowed_opens_none_for_its_own_pages_either(settings):
    settings.ALLOWED_HOSTS = ["flotilla.example"]
    assert not await may_open("http://rebound.example", host="rebound.example")


async def test_an_origin_that_may_post_forms_may_open_sockets(settings):
    settings.CSRF_TRUSTED_ORIGINS = ["https://front.example"]
    assert await may_open("https://front.example")


async def test_a_program_that_names_no_origin_may(settings):
    assert await may_open(None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("origin", "answers"), [("http://testserver", True), ("http://testserver:3000", False)])
async def test_the_chat_is_guarded_so(origin, answers):
    headers = [(b"host", b"testserver"), (b"origin", origin.encode())]
    socket = WebsocketCommunicator(websockets, f"/ws/chat/{uuid4()}/", headers=headers)
    connected, _ = await socket.connect(timeout=30)
    assert connected is answers
    await socket.disconnect(timeout=30)
