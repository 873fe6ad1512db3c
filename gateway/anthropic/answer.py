"""A chat completion, whole or streamed → Anthropic's message.

role chunk ── reasoning, text, tool calls ── finish_reason ── usage ── [DONE]
     │                   │                                                │
message_start   content_block_start, deltas, content_block_stop   message_delta, message_stop

How long the prompt was is known at the end only, so it is told there.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.anthropic.errors import worded
from gateway.errors import InvalidRequest
from gateway.events import event_data, split_events
from gateway.openai.chunks import Choice, Chunk, Said, ToolCall, Usage, read_chunk

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_Body = dict[str, Any]


class _Tokens(msgspec.Struct):
    count: int


class TokenCount:
    """What /v1/tokenize says, as Anthropic's clients want to hear it."""

    def answer(self, body: bytes) -> bytes:
        return msgspec.json.encode({"input_tokens": msgspec.json.decode(body, type=_Tokens).count})

    def events(self, block: bytes) -> bytes:
        raise NotImplementedError("counts do not stream")


class MessageAnswer:
    """Of one request. `shows_thinking`: whether the caller wants to see what the model thinks."""

    def __init__(self, request_id: str, *, shows_thinking: bool) -> None:
        self._id = f"msg_{request_id.removeprefix('req_')}"
        self._shows_thinking = shows_thinking
        self._usage = Usage()
        self._ending: _Body = {"stop_reason": "end_turn", "stop_sequence": None}
        self._num_blocks = 0
        self._has_called = False
        self._open: str | int | None = None
        """The kind of the block that has begun and not ended, or the index of the tool call."""
        self._has_begun = self._has_failed = False

    def answer(self, body: bytes) -> bytes:
        """The whole of it."""
        chunk = read_chunk(body)
        for choice in chunk.choices[:1]:
            self._end(choice)
        said = chunk.choices[0].message if chunk.choices else Said()
        message = self._message(chunk.model, list(self._blocks(said)), chunk.usage or Usage())
        return msgspec.json.encode(message | self._ending)

    def events(self, block: bytes) -> bytes:
        """Whole events, translated. Comments stay what they are."""
        return b"".join(said for event in split_events(block) for said in self._translated(event))

    def _translated(self, event: bytes) -> Iterator[bytes]:
        data = event_data(event)
        if not data:
            yield event
        elif data == b"[DONE]":
            yield from self._ended()
        else:
            yield from self._heard(read_chunk(data))

    def _heard(self, chunk: Chunk) -> Iterator[bytes]:
        if chunk.error is not None:
            self._has_failed = True
            status = 400 if chunk.error.get("type") == InvalidRequest.type else 500
            yield _event("error", error=worded(status, str(chunk.error.get("message") or "")))
            return
        if not self._has_begun:
            self._has_begun = True
            yield _event("message_start", message=self._message(chunk.model, [], Usage()))
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices[:1]:
            yield from self._continued(choice.delta)
            if choice.finish_reason:
                self._end(choice)

    def _continued(self, said: Said) -> Iterator[bytes]:
        if said.reasoning_content and self._shows_thinking:
            yield from self._begun("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            yield self._delta({"type": "thinking_delta", "thinking": said.reasoning_content})
        if said.content:
            yield from self._begun("text", {"type": "text", "text": ""})
            yield self._delta({"type": "text_delta", "text": said.content})
        for call in said.tool_calls or ():
            self._has_called = True
            yield from self._begun(call.index, _tool_use(call, {}))
            if call.function.arguments:
                yield self._delta({"type": "input_json_delta", "partial_json": call.function.arguments})

    def _begun(self, kind: str | int, block: _Body) -> Iterator[bytes]:
        if self._open == kind:
            return
        yield from self._closed()
        self._open = kind
        yield _event("content_block_start", index=self._num_blocks, content_block=block)

    def _closed(self) -> Iterator[bytes]:
        if self._open is not None:
            yield _event("content_block_stop", index=self._num_blocks)
            self._num_blocks += 1
            self._open = None

    def _delta(self, delta: _Body) -> bytes:
        return _event("content_block_delta", index=self._num_blocks, delta=delta)

    def _ended(self) -> Iterator[bytes]:
        if self._has_failed:
            return
        yield from self._closed()
        yield _event("message_delta", delta=self._ending, usage=_counted(self._usage))
        yield _event("message_stop")

    def _end(self, choice: Choice) -> None:
        stop = choice.stop_reason if isinstance(choice.stop_reason, str) else None
        reason = "stop_sequence" if stop else _STOP_REASONS.get(choice.finish_reason or "", "end_turn")
        if reason == "end_turn" and (self._has_called or choice.message.tool_calls):
            # OpenAI's say "stop" after a call of the tool that was asked for by its name.
            reason = "tool_use"
        self._ending = {"stop_reason": reason, "stop_sequence": stop}

    def _message(self, model: str, content: list[_Body], usage: Usage) -> _Body:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _counted(usage),
        }

    def _blocks(self, said: Said) -> Iterator[_Body]:
        if said.reasoning_content and self._shows_thinking:
            yield {"type": "thinking", "thinking": said.reasoning_content, "signature": ""}
        if said.content:
            yield {"type": "text", "text": said.content}
        for call in said.tool_calls or ():
            yield _tool_use(call, _arguments(call.function.arguments))


def _tool_use(call: ToolCall, arguments: _Body) -> _Body:
    return {"type": "tool_use", "id": call.id or "", "name": call.function.name or "", "input": arguments}


def _arguments(text: str | None) -> _Body:
    """A model may write what is no JSON; then there is nothing that a tool could be called with."""
    try:
        return msgspec.json.decode(text or "{}", type=_Body)
    except msgspec.DecodeError:
        return {}


def _counted(usage: Usage) -> _Body:
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))
