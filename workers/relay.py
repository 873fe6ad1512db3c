"""A request passed on to an engine, and its answer back, byte by byte: what every door of this program does."""

import hmac
import io
import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from protocol.transcription import ENDPOINT, form_of
from workers.engine_process import EngineProcess
from workers.errors import NoRoom
from workers.hang_up import gone

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 40 * 1024 * 1024
"""A recording of 25 MiB is a third longer in JSON."""
_TO_CHILD = ("Content-Type", "Accept")
"""Without our request's id: llama-cpp-python answers 400, with nothing said, to one that is no UUID."""
_TO_ENGINE = (*_TO_CHILD, "X-Request-ID")
_FROM_ENGINE = ("Content-Type", "Cache-Control", "Retry-After", "X-Request-ID")
_BROKEN = (aiohttp.ClientError, OSError)
_OVERLOADED = 503
_RETRY_AFTER_S = 2
_ERROR_EVENT = b'data: {"error"'
_HAS_FAILED = web.ResponseKey("has_failed", bool)
"""Set on a response whose stream ended with an error."""


def guarded(may_enter: Callable[[web.Request], bool], *, code: str, message: str) -> Middleware:
    """Lets in whom `may_enter` lets in; the others get 401, so worded. Every error has OpenAI's shape."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not may_enter(request):
            return refusal(401, code, message)
        try:
            return await handler(request)
        except web.HTTPException as error:
            return refusal(error.status, "bad_request", error.text or error.reason)
        except ConnectionError as error:
            return gone(request, error)

    return guard


def shows(request: web.Request, secret: str) -> bool:
    """Whether the request carries this secret as its bearer token; never for an empty one."""
    shown = request.headers.get("Authorization", "")
    return bool(secret) and hmac.compare_digest(_utf8(shown), _utf8(f"Bearer {secret}"))


def refusal(status: int, code: str, message: str) -> web.Response:
    """An error as OpenAI's clients understand it."""
    return web.json_response(_error(code, message, status), status=status)


async def serve(request: web.Request, engine: EngineProcess) -> web.StreamResponse:
    """The engine's answer. Counted, also as in flight; an engine that sleeps is woken first, and one that is not open
    is a 503."""
    if not engine.is_open:
        return not_open(engine)
    with engine.occupancy.in_flight():
        try:
            if not await engine.wake():
                return not_open(engine)
        except NoRoom as error:
            return _cannot_wake(engine, error)
        response = await pass_on(request, engine)
        logger.info(
            "Request %s to %s: %d", request.headers.get("X-Request-ID", ""), engine.replica.model, response.status
        )
        is_fault = response.status >= 500 and response.status != _OVERLOADED
        engine.occupancy.count_answer(has_failed=is_fault or _HAS_FAILED in response)
        return response


def not_open(engine: EngineProcess) -> web.Response:
    return refusal(503, "replica_not_ready", f"{engine.replica.model} is {engine.phase} on this worker.")


def _cannot_wake(engine: EngineProcess, error: NoRoom) -> web.Response:
    """Soon it may: what has no room is let in when others have gone to sleep."""
    response = refusal(503, "replica_not_ready", f"{engine.replica.model} cannot be woken on this worker: {error}")
    response.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return response


async def pass_on(request: web.Request, engine: EngineProcess) -> web.StreamResponse:
    """As it is, whatever is asked."""
    content = await request.read()
    if (connection := engine.connection) is None:
        return _engine_died(engine)
    content = connection.worded(content)
    passed = _TO_CHILD if engine.is_child else _TO_ENGINE
    headers = {name: request.headers[name] for name in passed if name in request.headers}
    if engine.is_child and request.path == f"/v1/{ENDPOINT}" and request.content_type != "multipart/form-data":
        content, headers["Content-Type"] = form_of(content)
    try:
        # As a file: aiohttp warns of long bodies given as bytes.
        answer = await connection.session.request(
            request.method, connection.path(request.raw_path), data=io.BytesIO(content), headers=headers
        )
    except _BROKEN:
        return _engine_died(engine)
    try:
        return await _relay(request, answer, engine)
    finally:
        # Closes the connection unless the answer came to its end: that is how an engine learns of a hang-up.
        answer.release()


async def _relay(request: web.Request, answer: aiohttp.ClientResponse, engine: EngineProcess) -> web.StreamResponse:
    """The engine's answer: a stream chunk by chunk as it comes, anything else whole, so that it is never cut short."""
    try:
        if answer.content_type != "text/event-stream":
            return web.Response(status=answer.status, body=await answer.read(), headers=_headers(answer, engine))
        first = await answer.content.readany()
    except _BROKEN:
        return _engine_died(engine)
    response = web.StreamResponse(status=answer.status, headers=_headers(answer, engine))
    await response.prepare(request)
    async with aclosing(_chunks(answer, engine, first)) as chunks:
        async for chunk in chunks:
            if _ERROR_EVENT in chunk:
                response[_HAS_FAILED] = True
            await response.write(chunk)
    await response.write_eof()
    return response


async def _chunks(answer: aiohttp.ClientResponse, engine: EngineProcess, first: bytes) -> AsyncGenerator[bytes, None]:
    """`first`, and those after it. An engine that dies ends the stream with an error event, never quietly."""
    yield (last := first)
    try:
        async for chunk in answer.content.iter_any():
            last = chunk
            yield chunk
    except _BROKEN:
        logger.warning("The engine of %s died in the middle of an answer.", engine.replica.model)
        error = json.dumps(_error("engine_died", f"The engine of {engine.replica.model} died while it answered.", 502))
        # If it died within an event, that one must end first.
        separator = b"" if last.endswith(b"\n\n") else b"\n\n"
        yield separator + f"data: {error}\n\ndata: [DONE]\n\n".encode()


def _headers(answer: aiohttp.ClientResponse, engine: EngineProcess) -> dict[str, str]:
    passed = {name: answer.headers[name] for name in _FROM_ENGINE if name in answer.headers}
    load = engine.load
    return passed | {"X-Flotilla-Running": str(load.num_running), "X-Flotilla-Waiting": str(load.num_waiting)}


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _engine_died(engine: EngineProcess) -> web.Response:
    return refusal(502, "engine_died", f"The engine of {engine.replica.model} died before it answered.")


def _error(code: str, message: str, status: int) -> dict[str, dict[str, str | None]]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
