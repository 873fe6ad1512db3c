"""A chat completion, whole or in chunks, as types: for those who say it in other words."""

from typing import Any

import msgspec


class PromptDetails(msgspec.Struct):
    """What of the prompt the engine knew already."""

    cached_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    """What of the answer nobody reads."""

    reasoning_tokens: int | None = None


class Usage(msgspec.Struct):
    """Tokens, by the engine's count."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None

    @property
    def cached_tokens(self) -> int:
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0

    @property
    def reasoning_tokens(self) -> int:
        return (self.completion_tokens_details and self.completion_tokens_details.reasoning_tokens) or 0


class Function(msgspec.Struct):
    """Of a call, or of a piece of one."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    """A call, or a piece of one."""

    index: int = 0
    id: str | None = None
    function: Function = msgspec.field(default_factory=Function)


class Said(msgspec.Struct):
    """A message, or a piece of one."""

    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(msgspec.Struct):
    """One answer."""

    message: Said = msgspec.field(default_factory=Said)
    delta: Said = msgspec.field(default_factory=Said)
    finish_reason: str | None = None
    stop_reason: Any = None
    """vLLM's: the stop string, if it was one that ended the answer."""


class Chunk(msgspec.Struct):
    """A chunk of a stream, or a whole answer, or an error."""

    choices: list[Choice] = []
    model: str = ""
    usage: Usage | None = None
    error: dict[str, Any] | None = None


_CHUNK = msgspec.json.Decoder(Chunk)


def read_chunk(data: bytes) -> Chunk:
    """Raises msgspec.DecodeError."""
    return _CHUNK.decode(data)
