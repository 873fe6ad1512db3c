import pytest
from asgiref.testing import ApplicationCommunicator

from config.body_limit import BodyLimit


async def echo_size(scope, receive, send):
    """Answers with the number of bytes it was sent, or 499 when the client has gone."""
    num_bytes, event = 0, {"more_body": True}
    while event.get("more_body"):
        event = await receive()
        num_bytes += len(event.get("body", b""))
    status = 499 if event["type"] == "http.disconnect" else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-size", b"%d" % num_bytes)]})


async def ask(*parts: bytes, announced: bytes | None = None) -> int:
    """The status for a body sent in these parts."""
    headers = [(b"content-length", announced)] if announced is not None else []
    exchange = ApplicationCommunicator(BodyLimit(echo_size, 10), {"type": "http", "headers": headers})
    for part in parts:
        await exchange.send_input({"type": "http.request", "body": part, "more_body": part is not parts[-1]})
    return (await exchange.receive_output(timeout=30))["status"]


async def test_a_body_within_the_bound_passes():
    assert await ask(b"12345", b"67890", announced=b"10") == 200


async def test_a_body_announced_as_too_large_is_refused_unread():
    assert await ask(b"", announced=b"11") == 413


@pytest.mark.parametrize("announced", [None, b"5", b"many"])
async def test_a_body_that_grows_beyond_the_bound_is_cut_off(announced):
    assert await ask(b"123456", b"789012", announced=announced) == 499
