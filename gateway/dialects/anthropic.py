"""Anthropic's Messages dialect: its answers, whole or streamed, in OpenAI's words.

message_start ── content_block_start ── content_block_delta* ── content_block_stop ── message_delta ── message_stop
      │                  │                       │                                        │                │
  role chunk     a tool call's name     text, or arguments                          finish_reason    usage, [DONE]

Thinking is not asked for and, should it come, not passed on. `ping` keeps the connection alive and says nothing.
"""

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from fleet.provider_access import HostedModel
from gateway.dialects.anthropic_requests import messages_request
from gateway.events import DONE, event_data, split_events

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Usage(msgspec.Struct):
    """Whatever came from a cache, or went into it, is not among the input tokens."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Block(msgspec.Struct):
    """A part of a message, or of such a part."""

    type: str
    text: str = ""
    partial_json: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] = {}


class _Message(msgspec.Struct):
    id: str
    content: list[_Block] = []
    stop_reason: str | None = None
    usage: _Usage = msgspec.field(default_factory=_Usage)


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: dict[str, Any] = {}
    usage: _Usage = msgspec.field(default_factory=_Usage)
    error: dict[str, Any] = {}


_MESSAGE, _EVENT = msgspec.json.Decoder(_Message), msgspec.json.Decoder(_Event)


class AnthropicTranslation:
    """`model` is our name of it. Only chats: their API has nothing else."""

    path = "/messages"

    def __init__(self, model: str, hosted: HostedModel, endpoint: str) -> None:
        self._model = model
        self._hosted = hosted
        self._created_at = int(time.time())
        self._id = ""
        self._usage = _Usage()
        self._calls: dict[int, int] = {}
        """Index of a block → index of the tool call."""
        self._silent_calls: set[int] = set()
        """Indexes of blocks: calls without arguments so far."""

    def request(self, body: bytes) -> bytes:
        return messages_request(body, self._hosted.name, max_tokens=self._hosted.max_output_tokens)

    def answer(self, body: bytes) -> bytes:
        message = _MESSAGE.decode(body)
        self._id = message.id
        calls = [_whole_call(block) for block in message.content if block.type == "tool_use"]
        said: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(block.text for block in message.content if block.type == "text") or None,
            "refusal": None,
        }
        choice = {
            "index": 0,
            "message": said | ({"tool_calls": calls} if calls else {}),
            "logprobs": None,
            "finish_reason": _finish_reason(message.stop_reason),
        }
        return msgspec.json.encode(
            {**self._envelope("chat.completion"), "choices": [choice], "usage": _counted(message.usage)}
        )

    def events(self, block: bytes) -> bytes:
        return b"".join(
            said for event in split_events(block) if (data := event_data(event)) for said in self._said(data)
        )

    def _said(self, data: bytes) -> Iterator[bytes]:
        event = _EVENT.decode(data)
        match event.type:
            case "message_start" if event.message:
                self._id = event.message.id
                self._count(event.message.usage)
                yield self._chunk({"role": "assistant", "content": ""})
            case "content_block_start" if event.content_block:
                yield from self._begun(event.index, event.content_block)
            case "content_block_delta":
                yield from self._continued(event.index, msgspec.convert(event.delta, _Block))
            case "content_block_stop" if event.index in self._silent_calls:
                yield self._arguments(event.index, "{}")
            case "message_delta":
                self._count(event.usage)
                yield self._chunk({}, _finish_reason(event.delta.get("stop_reason")))
            case "message_stop":
                yield _event({**self._envelope("chat.completion.chunk"), "choices": [], "usage": _counted(self._usage)})
                yield DONE
            case "error":
                yield _event({"error": _worded(event.error)})

    def _begun(self, index: int, block: _Block) -> Iterator[bytes]:
        if block.type == "tool_use":
            self._calls[index] = len(self._calls)
            self._silent_calls.add(index)
            function = {"name": block.name, "arguments": ""}
            call = {"index": self._calls[index], "id": block.id, "type": "function", "function": function}
            yield self._chunk({"tool_calls": [call]})
        elif block.text:
            yield self._chunk({"content": block.text})

    def _continued(self, index: int, delta: _Block) -> Iterator[bytes]:
        if delta.type == "text_delta" and delta.text:
            yield self._chunk({"content": delta.text})
        elif delta.type == "input_json_delta" and delta.partial_json:
            yield self._arguments(index, delta.partial_json)

    def _arguments(self, index: int, text: str) -> bytes:
        self._silent_calls.discard(index)
        return self._chunk({"tool_calls": [{"index": self._calls[index], "function": {"arguments": text}}]})

    def _count(self, usage: _Usage) -> None:
        """The figures of later events are totals, and only of what has changed."""
        told = {name: value for name in usage.__struct_fields__ if (value := getattr(usage, name)) is not None}
        self._usage = msgspec.structs.replace(self._usage, **told)

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event({**self._envelope("chat.completion.chunk"), "choices": [choice]})

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self._id}", "object": kind, "created": self._created_at, "model": self._model}


def _whole_call(block: _Block) -> dict[str, Any]:
    arguments = msgspec.json.encode(block.input).decode()
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": arguments}}


def _finish_reason(reason: str | None) -> str:
    return _FINISH_REASONS.get(reason or "", "stop")


def _counted(usage: _Usage) -> dict[str, Any]:
    cached = usage.cache_read_input_tokens or 0
    prompt = (usage.input_tokens or 0) + (usage.cache_creation_input_tokens or 0) + cached
    answer = usage.output_tokens or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _worded(error: dict[str, Any]) -> dict[str, Any]:
    kind = str(error.get("type") or "api_error")
    return {"message": str(error.get("message") or ""), "type": "server_error", "param": None, "code": kind}


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"
