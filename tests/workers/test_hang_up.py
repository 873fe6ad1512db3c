"""A caller who goes while an answer is being written is no fault, in whichever of the worker's servers."""

import asyncio
import logging
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Middleware

from workers.engines.server import answer_errors
from workers.relay import guarded

GUARD = guarded(lambda request: True, code="", message="")


async def asked(middleware: Middleware, *, is_gone: bool) -> None:
    """Ask a server whose handler writes to a caller who has gone, or fails by itself while the caller is there."""
    has_ended = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            if is_gone:
                assert request.transport is not None
                request.transport.close()
                await response.write(b"too late")
            raise ConnectionResetError("of another connection")
        finally:
            has_ended.set()

    app = web.Application(middlewares=[middleware])
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        with suppress(aiohttp.ClientError):
            async with session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/") as response:
                await response.read()
    await has_ended.wait()
    await runner.cleanup()


@pytest.mark.parametrize("middleware", [answer_errors, GUARD])
async def test_a_hang_up_in_the_middle_of_writing_leaves_nothing_in_the_log(middleware, caplog):
    await asked(middleware, is_gone=True)

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("middleware", [answer_errors, GUARD])
async def test_a_connection_of_our_own_that_breaks_is_still_logged(middleware, caplog):
    await asked(middleware, is_gone=False)

    assert any(record.exc_info for record in caplog.records)
