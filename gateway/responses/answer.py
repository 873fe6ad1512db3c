"""A chat completion, whole or streamed → a response.

first chunk ── reasoning, text, tool calls ── finish_reason, usage ── [DONE]
     │                    │                                             │
created, in_progress   events of items            completed, incomplete or failed
"""

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.errors import InvalidRequest
from gateway.events import event_data, split_events
from gateway.openai.chunks import Choice, Chunk, Said, ToolCall, Usage, read_chunk
from gateway.responses.items import Body, Call, Event, Speech
from gateway.responses.requests import ResponsesRequest

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseAnswer:
    """Of one request. `final` is None until the last event is on its way; then it is the response."""

    def __init__(self, asked: ResponsesRequest, request_id: str) -> None:
        self._identity = request_id.removeprefix("req_")
        self.id = f"resp_{self._identity}"
        self._frame = {**_frame(asked), "id": self.id}
        self._ended: list[Speech | Call] = []
        self._open: Speech | Call | None = None
        self._open_kind: str | int = ""
        """The kind of speech, or the index of the tool call."""
        self._finish_reason, self._usage = "stop", Usage()
        self._num_events = 0
        self.final: Body | None = None

    def answer(self, body: bytes) -> bytes:
        """The whole of it: as a stream of one piece, of which nobody hears the events."""
        chunk = read_chunk(body)
        for choice in chunk.choices[:1]:
            for index, call in enumerate(choice.message.tool_calls or ()):
                call.index = index
            list(self._continued(choice.message))
            self._finish_reason = choice.finish_reason or "stop"
        self._usage = chunk.usage or Usage()
        list(self._finished())
        return msgspec.json.encode(self.final)

    def events(self, block: bytes) -> bytes:
        """Whole events, translated. Comments stay what they are."""
        return b"".join(said for event in split_events(block) for said in self._translated(event))

    def message(self) -> Body:
        """What was said, as a message of a chat."""
        calls = [call for item in self._ended for call in item.message().get("tool_calls", ())]
        text = "".join(item.message().get("content", "") for item in self._ended)
        return {"role": "assistant", "content": text or (None if calls else "")} | (
            {"tool_calls": calls} if calls else {}
        )

    def _translated(self, event: bytes) -> Iterator[bytes]:
        data = event_data(event)
        if not data:
            yield event
            return
        said = self._finished() if data == b"[DONE]" else self._heard(read_chunk(data))
        yield from (self._worded(kind, fields) for kind, fields in said)

    def _heard(self, chunk: Chunk) -> Iterator[Event]:
        if not self._num_events:
            yield "created", {"response": self._response("in_progress")}
            yield "in_progress", {"response": self._response("in_progress")}
        if chunk.error is not None:
            # Of OpenAI's codes for this the only one that does not ask the caller to try again.
            code = "invalid_prompt" if chunk.error.get("type") == InvalidRequest.type else "server_error"
            yield from self._failed(code, str(chunk.error.get("message") or ""))
            return
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices[:1]:
            yield from self._chosen(choice)

    def _chosen(self, choice: Choice) -> Iterator[Event]:
        yield from self._continued(choice.delta)
        self._finish_reason = choice.finish_reason or self._finish_reason

    def _continued(self, said: Said) -> Iterator[Event]:
        if said.reasoning_content:
            yield from self._spoken("reasoning", said.reasoning_content)
        if said.content:
            yield from self._spoken("text", said.content)
        for call in said.tool_calls or ():
            yield from self._called(call)

    def _spoken(self, kind: str, text: str) -> Iterator[Event]:
        if self._open_kind != kind:
            yield from self._begun(kind, Speech(*self._next_place(), is_thought=kind == "reasoning"))
        if self._open:
            yield from self._open.more(text)

    def _called(self, call: ToolCall) -> Iterator[Event]:
        if self._open_kind != call.index:
            item = Call(*self._next_place(), call_id=call.id or "", name=call.function.name or "")
            yield from self._begun(call.index, item)
        if self._open and call.function.arguments:
            yield from self._open.more(call.function.arguments)

    def _next_place(self) -> tuple[int, str]:
        index = len(self._ended) + (self._open is not None)
        return index, f"{self._identity}_{index}"

    def _begun(self, kind: str | int, item: Speech | Call) -> Iterator[Event]:
        yield from self._closed("completed")
        self._open, self._open_kind = item, kind
        yield from item.begun()

    def _closed(self, status: str) -> Iterator[Event]:
        if self._open:
            yield from self._open.ended(status)
            self._ended.append(self._open)
            self._open = None

    def _finished(self) -> Iterator[Event]:
        if self.final:
            return
        reason = _INCOMPLETE.get(self._finish_reason)
        status = "incomplete" if reason else "completed"
        yield from self._closed(status)
        details = {"reason": reason} if reason else None
        self.final = self._response(status, incomplete_details=details, usage=_counted(self._usage))
        yield status, {"response": self.final}

    def _failed(self, code: str, message: str) -> Iterator[Event]:
        error = {"code": code, "message": message}
        self.final = self._response("failed", error=error)
        yield "failed", {"response": self.final}

    def _response(self, status: str, **fields: Any) -> Body:
        output = [item.item("completed") for item in self._ended]
        if output and status == "incomplete":
            output[-1]["status"] = status
        return {**self._frame, "status": status, "output": output, **fields}

    def _worded(self, kind: str, fields: Body) -> bytes:
        kind = f"response.{kind}"
        data = msgspec.json.encode({"type": kind, "sequence_number": self._num_events, **fields})
        self._num_events += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def _frame(asked: ResponsesRequest) -> Body:
    """What is known before the answer: for the most part, what was asked."""
    form = asked.text.format if asked.text else None
    return {
        "object": "response",
        "created_at": int(time.time()),
        "model": asked.model,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "metadata": asked.metadata or {},
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": asked.previous_response_id,
        "reasoning": asked.reasoning,
        "store": asked.is_kept,
        "temperature": asked.temperature,
        "text": {"format": _told(form) if form else {"type": "text"}},
        "tool_choice": asked.tool_choice or "auto",
        "tools": asked.tools or [],
        "top_p": asked.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": asked.user,
    }


def _told(form: msgspec.Struct) -> Body:
    return {name: value for name, value in msgspec.to_builtins(form).items() if value is not None}


def _counted(usage: Usage) -> Body:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
