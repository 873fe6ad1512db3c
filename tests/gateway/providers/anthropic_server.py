"""Anthropic's Messages API, as picky as the real one. Which answer it gives depends on the last message's text."""

import asyncio
import json
from typing import Any

from aiohttp import web

from tests.gateway.providers.server import ProviderServer, Refusal

MODEL = "claude-tiny"
WORDS = ["Once", " upon", " a time"]
USAGE = {"input_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3, "output_tokens": 4}
PARAMETERS = {
    "model", "max_tokens", "system", "messages", "temperature", "top_p", "stop_sequences", "tools", "tool_choice",
    "metadata", "stream",
}  # fmt: skip
BLOCKS = {"text": {"type", "text"}, "tool_use": {"type", "id", "name", "input"}}
BLOCKS["image"] = {"type", "source"}
BLOCKS["tool_result"] = {"type", "tool_use_id", "content"}


def error(status: int, kind: str, message: str, **headers: str) -> Refusal:
    return Refusal(status, {"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}, **headers)


def invalid(message: str) -> Refusal:
    return error(400, "invalid_request_error", message)


class AnthropicServer(ProviderServer):
    """One model. `overload_after` so many words, a stream ends in an error event; `lingers` waits after the first."""

    overload_after: int | None = None
    lingers = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/models", self._models), web.post("/v1/messages", self._messages)]

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        return web.json_response({"data": [{"type": "model", "id": MODEL, "display_name": "Tiny"}], "has_more": False})

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        body = await request.json()
        self.bodies.append(body)
        self._check(body)
        uses_tool = bool(body.get("tools")) and body["messages"][-1]["content"][0]["type"] != "tool_result"
        if body.get("stream"):
            return await self._stream(request, uses_tool)
        content: list[dict[str, Any]] = [{"type": "text", "text": "".join(WORDS)}]
        if uses_tool:
            content += [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}}]
            content += [{"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}}]
        reason = "tool_use" if uses_tool else "end_turn"
        return web.json_response(_message(content=content, stop_reason=reason, usage=USAGE))

    async def _stream(self, request: web.Request, uses_tool: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)

        async def say(kind: str, **fields: Any) -> None:
            data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
            await response.write(f"event: {kind}\ndata: {data}\n\n".encode())

        await say("message_start", message=_message(content=[], stop_reason=None, usage=USAGE | {"output_tokens": 1}))
        await say("content_block_start", index=0, content_block={"type": "text", "text": ""})
        await say("ping")
        for number, word in enumerate(WORDS):
            if self.overload_after == number:
                await say("error", error={"type": "overloaded_error", "message": "Overloaded"})
                return response
            await say("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
            if self.lingers:
                await asyncio.sleep(60)
        await say("content_block_stop", index=0)
        if uses_tool:
            await _say_tools(say)
        reason = "tool_use" if uses_tool else "end_turn"
        await say("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={"output_tokens": 4})
        await say("message_stop")
        return response

    def _admit(self, request: web.Request) -> None:
        if request.headers.get("x-api-key") != self.key or "Authorization" in request.headers:
            raise error(401, "authentication_error", "invalid x-api-key")
        if request.headers.get("anthropic-version") != "2023-06-01":
            raise invalid("anthropic-version: header is required")

    def _check(self, body: dict[str, Any]) -> None:
        for name in body.keys() - PARAMETERS:
            raise invalid(f"{name}: Extra inputs are not permitted")
        for name in ("model", "max_tokens", "messages"):
            if name not in body:
                raise invalid(f"{name}: Field required")
        if body["model"] != MODEL:
            raise error(404, "not_found_error", f"model: {body['model']}")
        if not 0 <= body.get("temperature", 1) <= 1:
            raise invalid("temperature: range: 0..1")
        if "tool_choice" in body and not body.get("tools"):
            raise invalid("tool_choice may only be specified while providing tools")
        _check_turns(body["messages"])


def _check_turns(messages: list[dict[str, Any]]) -> None:
    asked: set[str] = set()
    for position, message in enumerate(messages):
        if message["role"] != ("user", "assistant")[position % 2]:
            raise invalid("messages: roles must alternate between user and assistant, beginning with user")
        for block in message["content"]:
            if block.keys() != BLOCKS[block["type"]]:
                raise invalid(f"messages.{position}.content: wrong fields")
            if block["type"] == "text" and not block["text"]:
                raise invalid("messages: text content blocks must be non-empty")
        answered = {block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"}
        if asked != answered:
            raise invalid("messages: `tool_use` ids were found without `tool_result` blocks immediately after")
        asked = {block["id"] for block in message["content"] if block["type"] == "tool_use"}


async def _say_tools(say: Any) -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    await say("content_block_start", index=1, content_block=block)
    for part in ("", '{"city": ', '"Köln"}'):
        await say("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": part})
    await say("content_block_stop", index=1)
    await say("content_block_start", index=2, content_block=block | {"id": "toolu_2", "name": "clock"})
    await say("content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": ""})
    await say("content_block_stop", index=2)


def _message(**fields: Any) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "stop_sequence": None, **fields}
