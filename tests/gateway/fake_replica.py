"""An OpenAI server as small as it can be, with every fault that a worker may have. It says what it was asked."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from protocol.endpoints import CAPABILITIES

SECRET = "flt-gateway-secret-of-the-fake"
WORDS = ["Once", " upon", " a", " time"]
USAGE = {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}

Behaviour = Callable[["FakeReplica", web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


def chunk(model: str, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return event({**_envelope("chat.completion.chunk", model), "choices": [choice]})


def event(payload: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(payload)}\n\n".encode()


def _envelope(kind: str, model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model}


def usage_chunk(model: str) -> bytes:
    return event({**_envelope("chat.completion.chunk", model), "choices": [], "usage": USAGE})


def whole_answer(model: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": "".join(WORDS), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {**_envelope("chat.completion", model), "choices": [choice], "usage": USAGE}


def _embedded(body: dict[str, Any]) -> dict[str, Any]:
    data = [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def _ranked(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": body["model"],
        "results": [{"index": 0, "relevance_score": 0.9}],
        "usage": {"prompt_tokens": 5},
    }


def _drawn(body: dict[str, Any]) -> dict[str, Any]:
    return {"created": 1, "data": [{"b64_json": "aGk="}]}


def _classified(body: dict[str, Any]) -> dict[str, Any]:
    results = [_labelled(text) for text in body["input"]]
    return {"id": "modr-1", "model": body["model"], "results": results, "usage": {"prompt_tokens": 3}}


def _labelled(text: str) -> dict[str, Any]:
    is_toxic = "powder" in text or "time" in text
    scores = {"neutral": 0.2, "toxic": 0.8} if is_toxic else {"neutral": 0.8, "toxic": 0.2}
    return {"flagged": is_toxic, "categories": {"toxic": is_toxic}, "category_scores": scores}


def _tokenized(body: dict[str, Any]) -> dict[str, Any]:
    said = [str(message.get("content")) for message in body.get("messages") or ()]
    words = (body.get("prompt") or " ".join(said)).split()
    return {"count": len(words), "max_model_len": 4096, "tokens": list(range(len(words)))}


def _heard(body: dict[str, Any]) -> dict[str, Any]:
    told = {"text": "Once upon a time", "usage": {"type": "duration", "seconds": 3}}
    if body.get("response_format") != "verbose_json":
        return told
    times = ((0, 2.5, " Once upon"), (2.5, 3661.001, " a time"))
    return told | {"segments": [{"start": start, "end": end, "text": text} for start, end, text in times]}


OTHER_ANSWERS = {
    "/v1/audio/transcriptions": _heard,
    "/v1/embeddings": _embedded,
    "/v1/rerank": _ranked,
    "/v1/images/generations": _drawn,
    "/v1/moderations": _classified,
    "/v1/tokenize": _tokenized,
}


async def answer(replica: "FakeReplica", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """As a well engine does."""
    if request.path in OTHER_ANSWERS:
        return web.json_response(OTHER_ANSWERS[request.path](body))
    if not body.get("stream"):
        return web.json_response(whole_answer(body["model"]))
    response = await begin_stream(request, body)
    for word in WORDS:
        await response.write(chunk(body["model"], {"content": word}))
    await response.write(chunk(body["model"], {}, "stop"))
    if (body.get("stream_options") or {}).get("include_usage"):
        await response.write(usage_chunk(body["model"]))
    await response.write(b"data: [DONE]\n\n")
    return response


async def begin_stream(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(chunk(body["model"], {"role": "assistant", "content": ""}))
    return response


async def one_word_then_wait(replica: "FakeReplica", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    response = await begin_stream(request, body)
    await response.write(chunk(body["model"], {"content": WORDS[0]}))
    await replica.until_cancelled(request)
    return response


async def wait(replica: "FakeReplica", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Nothing, not even a head."""
    await replica.until_cancelled(request)
    return web.json_response({}, status=499)


async def linger(replica: "FakeReplica", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """A good answer, once the test lets it go."""
    replica.num_open += 1
    replica.most_open = max(replica.most_open, replica.num_open)
    try:
        await replica.next_release()
        return await answer(replica, request, body)
    finally:
        replica.num_open -= 1


async def die_after_one_word(replica: "FakeReplica", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    response = await begin_stream(request, body)
    await response.write(chunk(body["model"], {"content": WORDS[0]}))
    request.transport.abort()
    return response


async def fail_after_one_word(replica: "FakeReplica", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    response = await _begin_and_fail(request, body)
    await response.write(b"data: [DONE]\n\n")
    return response


async def fail_and_linger(replica: "FakeReplica", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """The error, and after it a stream that stays open."""
    response = await _begin_and_fail(request, body)
    await replica.until_cancelled(request)
    return response


async def _begin_and_fail(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    response = await begin_stream(request, body)
    await response.write(chunk(body["model"], {"content": WORDS[0]}))
    error = {"message": "The engine failed.", "type": "server_error", "param": None, "code": "engine_failed"}
    await response.write(event({"error": error}))
    return response


async def end_after_one_word(replica: "FakeReplica", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """In good order, but for [DONE]."""
    response = await begin_stream(request, body)
    await response.write(chunk(body["model"], {"content": WORDS[0]}))
    return response


async def end_after_usage(replica: "FakeReplica", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """All of it, but for [DONE]."""
    response = await begin_stream(request, body)
    await response.write(usage_chunk(body["model"]))
    return response


async def hang_up(replica: "FakeReplica", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    request.transport.abort()
    return web.Response()


async def begin_with_an_error(replica: "FakeReplica", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """200, and then the word that the engine is broken."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(event({"error": {"message": "Broken.", "code": "engine_failed"}}))
    return response


async def talk_nonsense(replica: "FakeReplica", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.Response(body=b"It works!")


def refuse(status: int, **error: Any) -> Behaviour:
    payload = {"message": "No.", "type": "invalid_request_error", "param": None, "code": None, **error}

    async def behave(*_: Any) -> web.StreamResponse:
        return web.json_response({"error": payload}, status=status)

    return behave


class FakeReplica:
    """Runs in a thread of its own until closed. `behave` is what it does with the next requests."""

    def __init__(self, port: int = 0) -> None:
        self.behave: Behaviour = answer
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.cancelled: list[str] = []
        self.knows_requests = True
        self.is_well = True
        self.num_probes = 0
        self.is_busy = threading.Event()
        self.num_open = self.most_open = 0
        self._releases = asyncio.Semaphore(0)
        self._waiting: dict[str, asyncio.Event] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._run(self._start(port))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """May be called twice."""
        if self._loop.is_closed():
            return
        self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def until_cancelled(self, request: web.Request) -> None:
        """Until the gateway cancels the request or hangs up."""
        request_id = request.headers["X-Request-ID"]
        self._waiting[request_id] = asyncio.Event()
        self.is_busy.set()
        await self._waiting[request_id].wait()

    def release(self, num: int = 1) -> None:
        """Let so many of those that linger go, now or when they come."""
        for _ in range(num):
            self._loop.call_soon_threadsafe(self._releases.release)

    async def next_release(self) -> None:
        await self._releases.acquire()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self, port: int) -> int:
        app = web.Application(client_max_size=2**30)
        for endpoint in CAPABILITIES:
            app.router.add_post(f"/v1/{endpoint}", self._infer)
        app.router.add_post("/v1/requests/{request_id}/cancel", self._cancel)
        app.router.add_get("/health", self._health)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    async def _health(self, request: web.Request) -> web.StreamResponse:
        self.num_probes += 1
        return web.json_response({}, status=200 if self.is_well else 503)

    async def _infer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        with suppress(ConnectionError):
            return await self.behave(self, request, body)
        return web.Response()

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        request_id = request.match_info["request_id"]
        if request_id not in self._waiting or not self.knows_requests:
            return web.json_response({}, status=404)
        self.cancelled.append(request_id)
        self._waiting[request_id].set()
        return web.json_response({"usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}})
