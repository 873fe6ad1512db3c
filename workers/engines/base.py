"""The contract between the engine process's HTTP server and whatever generates: a transformers model, an echo.

An engine is loaded once, in a process of its own, then serves many requests at a time. Text goes in as messages or
as a prompt, since only the engine knows the template and the tokenizer; events come out.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from protocol.control import ModelInfo

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """What to load, and how; all that an engine program is told at its start."""

    engine: str
    source: str
    dtype: str = "auto"
    device: str = "auto"
    max_concurrency: int = 8
    quantization: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    """The name that callers use."""
    program: tuple[str, ...] = ()
    """How to start the child server; empty for engines of our own, and where it is not installed."""
    may_run_code: bool = False
    """Whether this worker's operator lets deployments bring code of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen. Temperature 0 is greedy; a seed makes the text repeatable.

    None: what the model's own settings recommend, else 1.
    """

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """An answer that another engine with the same model had begun, and did not live to end.

    `tokens`: what it had generated, by TextDelta.tokens. `num_chars`: how much of their text the caller has. The answer
    goes on as if this engine had generated them: they count as completion tokens, and their text is not told again.
    """

    tokens: tuple[int, ...]
    num_chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """One generation. Exactly one of `messages` (a chat), `prompt` (text) and `prompt_tokens` (ids) is given.

    Messages are OpenAI's, with `content` a string or None and every role one of system, user, assistant, tool.
    """

    request_id: str
    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None
    prompt_tokens: list[int] | None = None
    tools: list[dict[str, Any]] | None = None
    max_tokens: int | None = None
    """None: to the end of the context."""
    stop: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    continues_last_message: bool = False
    """Go on with the last message, the assistant's own, instead of opening a new one."""
    resume: Resume | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the engine's own tokenizer counts them.

    `prompt_tokens`: exactly what the model was fed, template included. `completion_tokens`: every token that was
    generated, those of a stop string included, the end-of-text token not.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The prompt is in the model and the first token comes next: the first event of every stream."""

    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """Some more text, never half a character. May carry several tokens; `usage` counts all so far.

    `tokens`: all that were generated since the last delta. Their text may reach beyond `text`, where its end is
    withheld, and never falls short of it: see Resume.
    """

    text: str
    usage: Usage
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A whole call of a tool. `arguments` is JSON text."""

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The last event of a stream that did not fail."""

    finish_reason: FinishReason
    usage: Usage


GenerationEvent = Started | TextDelta | ToolCall | Finished


class Generation(Protocol):
    """One accepted request. Iterated once, by one task; leave it with `aclose` (contextlib.aclosing does)."""

    @property
    def usage(self) -> Usage:
        """What was used so far; final as soon as the generation is finished, cancelled or closed."""

    def __aiter__(self) -> AsyncIterator[GenerationEvent]:
        """Started, deltas and tool calls, Finished. Raises EngineFailed, and RequestCancelled after `cancel`."""

    def cancel(self) -> None:
        """Stop within one decoding step; whoever iterates gets RequestCancelled. No effect on a finished one."""

    async def aclose(self) -> None:
        """Nobody reads any more: stop within one decoding step and free what it held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """One vector for each input, in order."""

    vectors: list[list[float]]
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStats:
    """Load at this moment."""

    num_running: int
    num_waiting: int


class Engine(Protocol):
    """What every engine does. One instance for each engine process."""

    async def load(self, report: Callable[[float], None]) -> ModelInfo:
        """Make ready; `report` takes progress from 0 to 1, from any thread. Called once, first. Raises LoadError."""

    async def generate(self, request: Generate) -> Generation:
        """Check the request and put it in line. Raises BadRequest, ContextLengthExceeded, Overloaded."""

    async def embed(self, inputs: list[str] | list[list[int]]) -> Embeddings:
        """Vectors of unit length. Raises ContextLengthExceeded, BadRequest (an input out of range is named)."""

    def stats(self) -> EngineStats: ...

    async def close(self) -> None:
        """Fail what runs and free the model."""
