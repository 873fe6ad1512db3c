"""OpenAI's API, strict: it refuses what it does not know, in OpenAI's words, and never hears of Flotilla."""

import asyncio
import json
from typing import Any

from aiohttp import web

from tests.gateway.providers.server import ProviderServer, Refusal

MODEL, ANSWERS_AS = "gpt-tiny", "gpt-tiny-2026-01-01"
WORDS = ["Once", " upon", ' a "model": "x"', " time"]
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 2},
}
PARAMETERS = {
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens",
    "seed", "stop", "tools", "tool_choice", "user",
}  # fmt: skip


def error(status: int, message: str, *, code: str | None = None, param: str | None = None, **headers: str) -> Refusal:
    kinds = {401: "invalid_request_error", 429: "requests", 500: "server_error"}
    payload = {"message": message, "type": kinds.get(status, "invalid_request_error"), "param": param, "code": code}
    return Refusal(status, {"error": payload}, **headers)


class OpenAIServer(ProviderServer):
    """One model. `dies` cuts streams after the first word; `lingers` lets them wait there."""

    prefix = "/v1"
    dies = lingers = comments = False
    knows_stream_options = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(f"{self.prefix}/models", self._models),
            web.post(f"{self.prefix}/chat/completions", self._chat),
            web.post(f"{self.prefix}/embeddings", self._embed),
            web.post(f"{self.prefix}/audio/transcriptions", self._transcribe),
        ]

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        names = [MODEL, "text-embedding-tiny"]
        data = [{"id": name, "object": "model", "created": 1, "owned_by": "x"} for name in names]
        return web.json_response({"object": "list", "data": data})

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        data = [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        form = await request.post()
        if form["model"] != "whisper-tiny":
            raise error(404, f"The model `{form['model']}` does not exist", code="model_not_found")
        return web.json_response({"text": form["file"].file.read().decode()})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        if body["model"] != MODEL:
            raise error(404, f"The model `{body['model']}` does not exist", code="model_not_found")
        for name in body.keys() - PARAMETERS:
            raise error(400, f"Unrecognized request argument supplied: {name}", param=name)
        if "stream_options" in body and not self.knows_stream_options:
            raise Refusal(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]})
        if body.get("stream"):
            return await self._stream(request, body)
        message = {"role": "assistant", "content": "".join(WORDS), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return web.json_response({**_envelope("chat.completion"), "choices": [choice], "usage": USAGE})

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        if self.comments:
            await response.write(b": PROCESSING\n\n")
        if self.dies == "after a comment":
            request.transport.abort()
            return response
        await response.write(_chunk({"role": "assistant", "content": ""}))
        for word in WORDS:
            await response.write(_chunk({"content": word}))
            if self.dies:
                request.transport.abort()
                return response
            if self.lingers:
                await asyncio.sleep(60)
        wants_usage = (body.get("stream_options") or {}).get("include_usage")
        # Who does not know the option sends usage unasked.
        last = {} if self.knows_stream_options else {"usage": USAGE}
        await response.write(_chunk({}, "stop", **last))
        if wants_usage:
            await response.write(_event({**_envelope("chat.completion.chunk"), "choices": [], "usage": USAGE}))
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _body(self, request: web.Request) -> dict[str, Any]:
        self._admit(request)
        body = await request.json()
        self.bodies.append(body)
        return body

    def _admit(self, request: web.Request) -> None:
        sent = request.headers.get("Authorization", "")
        if sent != f"Bearer {self.key}":
            raise error(401, f"Incorrect API key provided: {sent[7:]}.", code="invalid_api_key")
        if any(name.lower().startswith("x-flotilla") for name in request.headers):
            raise error(400, "Not for our eyes")


def _envelope(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-9", "object": kind, "created": 1, "model": ANSWERS_AS}


def _chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _event({**_envelope("chat.completion.chunk"), "choices": [choice], **more})


def _event(payload: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(payload)}\n\n".encode()
