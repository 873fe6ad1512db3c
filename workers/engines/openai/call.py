"""One request that generates, as the server runs it, whatever its endpoint."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from workers.engines.base import FinishReason, Generate, GenerationEvent, TokenLogprob, ToolCall, Usage

Body = dict[str, Any]

LEAST_LOGPROB = -9999.0
"""OpenAI's own word for impossible."""


@dataclass(slots=True)
class Choice:
    """One answer, collected."""

    text: str = ""
    thought: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: FinishReason = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What all bodies and chunks of one answer share."""

    id: str
    model: str
    is_usage_wanted: bool
    """Whether the stream ends with a chunk that carries usage; then the others say `usage: null`."""
    created: int = field(default_factory=lambda: int(time.time()))

    def chunk(self, kind: str, choices: list[Body]) -> Body:
        """One chunk of a stream."""
        body: Body = {
            "id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices
        }  # fmt: skip
        return {**body, "usage": None} if self.is_usage_wanted else body

    def usage_chunk(self, kind: str, usage: Usage) -> Body:
        """The last chunk of a stream whose caller wants usage."""
        return {**self.chunk(kind, []), "usage": usage_body(usage)}

    def whole(self, kind: str, choices: list[Body], usage: Usage) -> Body:
        """A plain answer."""
        return {
            "id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices,
            "usage": usage_body(usage),
        }  # fmt: skip


class Reply(Protocol):
    """How an endpoint words its answer."""

    def chunks(self, index: int, event: GenerationEvent) -> list[Body]:
        """What a stream says of this event of choice number `index`."""

    def usage_chunk(self, usage: Usage) -> Body: ...

    def whole(self, choices: list[Choice], usage: Usage) -> Body: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationCall:
    """What was asked, checked: one generation for each choice."""

    generates: list[Generate]
    capability: str
    """What the model must be able to do: "chat", "completions"."""
    needs: Mapping[str, str]
    """What it must be able to do beyond that, each with the parameter that asks for it."""
    reply: Reply
    is_stream: bool
    is_usage_wanted: bool


def usage_body(usage: Usage) -> Body:
    """Usage as OpenAI words it."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
