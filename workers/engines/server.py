"""OpenAI's HTTP API over any engine, for the worker daemon alone: it listens on a Unix socket and checks no key.

    POST /v1/chat/completions · /v1/completions · /v1/embeddings · /v1/moderations · /v1/rerank
         /v1/audio/transcriptions · /v1/tokenize
    GET  /v1/models
    POST /v1/requests/{request_id}/cancel    stop it; says exactly what it used until then, or 404
    PUT  /adapters                           name → source, all of them; for each what is wrong, or ""
    GET  /stats                              {"num_running": .., "num_waiting": ..}
    GET  /health                             200 once the model is loaded

A request's id is its X-Request-ID header. When the client hangs up, aiohttp cancels the handler (the runner is made
with handler_cancellation=True), which closes the generations.
"""

import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
from aiohttp import web

from protocol.control import ModelInfo
from protocol.parameters import needed
from workers.engines.base import Engine, EngineSpec, Finished, Generation, TextDelta, ToolCall
from workers.engines.figures import Totals
from workers.engines.interleaving import interleave
from workers.engines.ledger import Ledger, total_usage
from workers.engines.metering import MeteredGeneration
from workers.engines.openai.call import Choice, GenerationCall, usage_body
from workers.engines.openai.chat import read_chat
from workers.engines.openai.completions import read_completion
from workers.engines.openai.embeddings import embedding_reply, read_embedding
from workers.engines.openai.errors import error_body
from workers.engines.openai.form import MEDIA_TYPE, read_form
from workers.engines.openai.moderations import moderation_reply, read_moderation
from workers.engines.openai.parameters import shorten
from workers.engines.openai.rerank import read_rerank, rerank_reply
from workers.engines.openai.tokenize import read_tokenize, tokenize_reply
from workers.engines.openai.transcriptions import (
    read_transcription,
    read_transcription_form,
    transcription_reply,
)
from workers.errors import BadRequest, EngineError, EngineFailed, Overloaded
from workers.hang_up import gone

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024
_MAX_REQUEST_ID_LENGTH = 200

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class EngineServer:
    """The handlers, around one loaded engine."""

    def __init__(self, engine: Engine, spec: EngineSpec, info: ModelInfo) -> None:
        self._engine, self._spec, self._info = engine, spec, info
        self._ledger = Ledger()
        self._totals = Totals()

    def make_app(self) -> web.Application:
        """The application; serve it with a runner that has handler_cancellation=True."""
        app = web.Application(middlewares=[answer_errors], client_max_size=MAX_BODY_BYTES)
        app.add_routes([
            web.post("/v1/chat/completions", self.chat_completions),
            web.post("/v1/completions", self.completions),
            web.post("/v1/embeddings", self.embeddings),
            web.post("/v1/moderations", self.moderations),
            web.post("/v1/rerank", self.rerank),
            web.post("/v1/audio/transcriptions", self.transcriptions),
            web.post("/v1/tokenize", self.tokenize),
            web.get("/v1/models", self.models),
            web.post("/v1/requests/{request_id}/cancel", self.cancel),
            web.put("/adapters", self.adapters),
            web.get("/stats", self.stats),
            web.get("/health", self.health),
        ])  # fmt: skip
        return app

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        request_id = _request_id(request)
        return await self._answer(request, read_chat(await request.read(), request_id))

    async def completions(self, request: web.Request) -> web.StreamResponse:
        request_id = _request_id(request)
        return await self._answer(request, read_completion(await request.read(), request_id))

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        parameters = read_embedding(await request.read())
        self._require("embeddings")
        self._check_needs(needed(msgspec.structs.asdict(parameters)))
        found = await self._engine.embed(parameters.inputs(), parameters.dimensions, model=parameters.model)
        return _json(embedding_reply(parameters, found))

    async def moderations(self, request: web.Request) -> web.StreamResponse:
        request_id = _request_id(request)
        parameters = read_moderation(await request.read())
        self._require("moderation")
        return _json(moderation_reply(parameters, await self._engine.classify(parameters.inputs()), request_id))

    async def rerank(self, request: web.Request) -> web.StreamResponse:
        request_id = _request_id(request)
        parameters = read_rerank(await request.read())
        self._require("rerank")
        ranking = await self._engine.rerank(parameters.query, parameters.documents)
        return _json(rerank_reply(parameters, ranking, request_id))

    async def transcriptions(self, request: web.Request) -> web.StreamResponse:
        if request.content_type == MEDIA_TYPE:
            parameters = read_transcription_form(await read_form(request, max_bytes=MAX_BODY_BYTES))
        else:
            parameters = read_transcription(await request.read())
        self._require("transcription")
        reply = transcription_reply(parameters, await self._engine.transcribe(parameters.wanted()))
        return web.Response(text=reply) if isinstance(reply, str) else _json(reply)

    async def tokenize(self, request: web.Request) -> web.StreamResponse:
        request_id = _request_id(request)
        generate, needs = read_tokenize(await request.read(), request_id)
        self._check_needs(needs)
        tokens = await self._engine.tokenize(generate)
        return _json(tokenize_reply(tokens, self._info))

    async def models(self, request: web.Request) -> web.StreamResponse:
        model = {"id": self._spec.source or self._spec.engine, "object": "model", "created": 0, "owned_by": "flotilla"}
        return _json({"object": "list", "data": [model]})

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        usage = self._ledger.cancel(request.match_info["request_id"])
        if usage is None:
            raise web.HTTPNotFound
        return _json({"usage": usage_body(usage)})

    async def adapters(self, request: web.Request) -> web.StreamResponse:
        """To be used from now on, name → source; for each why it cannot be, or ""."""
        wanted = msgspec.json.decode(await request.read(), type=dict[str, str])
        return _json(await self._engine.use_adapters(wanted))

    async def stats(self, request: web.Request) -> web.StreamResponse:
        return _json(replace(self._engine.stats(), totals=self._totals))

    async def health(self, request: web.Request) -> web.StreamResponse:
        return _json({"status": "ok"})

    async def _answer(self, request: web.Request, call: GenerationCall) -> web.StreamResponse:
        self._check(call)
        logger.info("Request %s begins", call.generates[0].request_id)
        async with self._accepted(call) as generations:
            if call.is_stream:
                return await _stream(request, call, generations)
            return await _collect(call, generations)

    @asynccontextmanager
    async def _accepted(self, call: GenerationCall) -> AsyncIterator[list[Generation]]:
        """All of the call's generations, accepted before the first byte is sent, and closed in any case."""
        async with AsyncExitStack() as stack:
            generations: list[Generation] = []
            for generate in call.generates:
                began_at = time.monotonic()
                generation = MeteredGeneration(await self._engine.generate(generate), self._totals, began_at)
                generations.append(await stack.enter_async_context(aclosing(generation)))
            with self._ledger.open(call.generates[0].request_id, generations):
                yield generations

    def _check(self, call: GenerationCall) -> None:
        self._require(call.capability)
        self._check_needs({**call.needs, **({"tools": "tools"} if call.generates[0].tools else {})})

    def _check_needs(self, needs: Mapping[str, str]) -> None:
        for capability, param in needs.items():
            if capability not in self._info.capabilities:
                raise BadRequest(
                    f"Unsupported parameter: '{param}' is not supported with this model. Leave it out.",
                    param=param,
                    code="unsupported_parameter",
                )

    def _require(self, capability: str) -> None:
        if capability not in self._info.capabilities:
            can = ", ".join(self._info.capabilities)
            raise BadRequest(f"This model does not do {capability}; it does {can}.", param="model")


async def _collect(call: GenerationCall, generations: Sequence[Generation]) -> web.Response:
    choices = [Choice() for _ in generations]
    async with aclosing(interleave(generations)) as events:
        async for index, event in events:
            match event:
                case TextDelta(text=text, is_thought=True):
                    choices[index].thought += text
                case TextDelta(text=text, logprobs=logprobs):
                    choices[index].text += text
                    choices[index].logprobs += logprobs
                case ToolCall():
                    choices[index].tool_calls.append(event)
                case Finished(finish_reason=reason):
                    choices[index].finish_reason = reason
    return _json(call.reply.whole(choices, total_usage(generations)))


async def _stream(request: web.Request, call: GenerationCall, generations: Sequence[Generation]) -> web.StreamResponse:
    async with aclosing(interleave(generations)) as events:
        # A failure before the first event still gets its honest status.
        index, event = await anext(events)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        try:
            await _write(response, call.reply.chunks(index, event))
            async for index, event in events:
                await _write(response, call.reply.chunks(index, event))
            if call.is_usage_wanted:
                await _write(response, [call.reply.usage_chunk(total_usage(generations))])
        except ConnectionError:
            raise
        except Exception as error:
            await _write(response, [error_body(_as_engine_error(error))])
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
    return response


async def _write(response: web.StreamResponse, bodies: Sequence[Any]) -> None:
    """Server-sent events. Waits while the reader is slow; meanwhile the engine merges the deltas that come."""
    if bodies:
        await response.write(b"".join(b"data: %b\n\n" % msgspec.json.encode(body) for body in bodies))


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error in OpenAI's shape."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        problem = BadRequest(f"{error.reason}: {request.method} {shorten(request.path)}")
        return _json(error_body(problem), status=error.status)
    except web.RequestPayloadError:
        return _error_response(BadRequest("The body of the request is not encoded as its headers say."))
    except ConnectionError as error:
        return gone(request, error)
    except Exception as error:
        return _error_response(_as_engine_error(error))


def _error_response(error: EngineError) -> web.Response:
    response = _json(error_body(error), status=error.status)
    if isinstance(error, Overloaded):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _as_engine_error(error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return error
    logger.error("The engine's server failed", exc_info=error)
    return EngineFailed("The engine failed. Its log on the worker says why.")


def _request_id(request: web.Request) -> str:
    request_id = request.headers.get("X-Request-ID") or secrets.token_hex(12)
    if len(request_id) > _MAX_REQUEST_ID_LENGTH or not request_id.isprintable() or not request_id.isascii():
        raise BadRequest("The X-Request-ID header must be up to 200 printable ASCII characters.")
    return request_id


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
