"""The daemon's door for the gateway: OpenAI's endpoints, passed on byte by byte to the engine that is named.

Each request carries the gateway's secret and, in `X-Flotilla-Replica`, the replica it is meant for. Answers carry that
replica's load in `X-Flotilla-Running` and `X-Flotilla-Waiting`.
"""

import asyncio
import hmac
import io
import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from workers.engine_process import EngineProcess
from workers.metrics import exposition

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 1024 * 1024
REPLICA_HEADER = "X-Flotilla-Replica"
_TO_CHILD = ("Content-Type", "Accept")
"""Without our request's id: llama-cpp-python answers 400, with nothing said, to one that is no UUID."""
_TO_ENGINE = (*_TO_CHILD, "X-Request-ID")
_FROM_ENGINE = ("Content-Type", "Cache-Control", "Retry-After", "X-Request-ID")
_BROKEN = (aiohttp.ClientError, OSError)
_OVERLOADED = 503
_ERROR_EVENT = b'data: {"error"'
_HAS_FAILED = web.ResponseKey("has_failed", bool)
"""Set on a response whose stream ended with an error."""


class WorkerServer:
    """`engines` by replica id; `secret` gives what the gateway must show, empty before this machine has joined.

    `metrics_token`: what opens /metrics, and nothing else; empty: only the gateway's secret does.
    """

    def __init__(
        self, engines: Mapping[str, EngineProcess], secret: Callable[[], str], *, metrics_token: str = ""
    ) -> None:
        self._engines = engines
        self._secret = secret
        self._metrics_token = metrics_token
        self._running: dict[str, asyncio.Task[object]] = {}
        """What child servers work on, by the request's id."""

    def make_app(self) -> web.Application:
        """Run it with handler_cancellation, or a gateway that hangs up would not reach the engine."""
        app = web.Application(middlewares=[self._guarded], client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/health", self.health)
        app.router.add_get("/metrics", self.metrics)
        for endpoint in ("chat/completions", "completions", "embeddings"):
            app.router.add_post(f"/v1/{endpoint}", self.generate)
        app.router.add_post("/v1/requests/{request_id}/cancel", self.cancel)
        return app

    async def health(self, request: web.Request) -> web.StreamResponse:
        """Of the daemon; of a replica, too, if the request names one."""
        if REPLICA_HEADER in request.headers:
            engine = self._named_engine(request)
            if engine is None or not engine.is_open:
                return _not_open(engine)
        return web.json_response({"status": "ok"})

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        engines = [(engine.replica.model, engine.status()) for engine in self._engines.values()]
        page, content_type = exposition(engines, request.headers.get("Accept", ""))
        return web.Response(body=page, headers={"Content-Type": content_type})

    async def generate(self, request: web.Request) -> web.StreamResponse:
        engine = self._named_engine(request)
        if engine is None or not engine.is_open:
            return _not_open(engine)
        with engine.in_flight(), self._cuttable(request):
            response = await _pass_on(request, engine)
            is_fault = response.status >= 500 and response.status != _OVERLOADED
            engine.count_answer(has_failed=is_fault or _HAS_FAILED in response)
            return response

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        engine = self._named_engine(request)
        if engine is None:
            return _not_found()
        if engine.is_child:
            return self._cut(request.match_info["request_id"])
        return await _pass_on(request, engine)

    @contextmanager
    def _cuttable(self, request: web.Request) -> Iterator[None]:
        request_id, task = request.headers.get("X-Request-ID", ""), asyncio.current_task()
        assert task is not None
        self._running[request_id] = task
        try:
            yield
        finally:
            self._running.pop(request_id, None)

    def _cut(self, request_id: str) -> web.Response:
        """Child servers stop when the connection is closed, and do not tell what was used: there is nothing to say."""
        if task := self._running.get(request_id):
            task.cancel()
        return refusal(404, "usage_unknown", "This engine does not tell what a request had used that was stopped.")

    @property
    def _guarded(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            # Health is told to everybody; but to a gateway that means another worker it is not this one's health.
            is_for_all = request.path == "/health" and "Authorization" not in request.headers
            may_read = request.path == "/metrics" and _shows(request, self._metrics_token)
            if not (is_for_all or may_read or _shows(request, self._secret())):
                return refusal(401, "invalid_gateway_secret", "This worker answers to its gateway only.")
            try:
                return await handler(request)
            except web.HTTPException as error:
                return refusal(error.status, "bad_request", error.text or error.reason)

        return guard

    def _named_engine(self, request: web.Request) -> EngineProcess | None:
        return self._engines.get(request.headers.get(REPLICA_HEADER, ""))


def _shows(request: web.Request, secret: str) -> bool:
    shown = request.headers.get("Authorization", "")
    return bool(secret) and hmac.compare_digest(_utf8(shown), _utf8(f"Bearer {secret}"))


def refusal(status: int, code: str, message: str) -> web.Response:
    """An error as OpenAI's clients understand it."""
    return web.json_response(_error(code, message, status), status=status)


async def _pass_on(request: web.Request, engine: EngineProcess) -> web.StreamResponse:
    content = await request.read()
    if (connection := engine.connection) is None:
        return _engine_died(engine)
    # As a file: aiohttp warns of long bodies given as bytes.
    body = io.BytesIO(connection.worded(content))
    passed = _TO_CHILD if engine.is_child else _TO_ENGINE
    headers = {name: request.headers[name] for name in passed if name in request.headers}
    try:
        answer = await connection.session.request(request.method, request.raw_path, data=body, headers=headers)
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


def _not_open(engine: EngineProcess | None) -> web.Response:
    if engine is None:
        return _not_found()
    return refusal(503, "replica_not_ready", f"{engine.replica.model} is {engine.phase} on this worker.")


def _not_found() -> web.Response:
    return refusal(404, "replica_not_found", f"This worker has no such replica; name one in {REPLICA_HEADER}.")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _engine_died(engine: EngineProcess) -> web.Response:
    return refusal(502, "engine_died", f"The engine of {engine.replica.model} died before it answered.")


def _error(code: str, message: str, status: int) -> dict[str, dict[str, str | None]]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
