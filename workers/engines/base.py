"""The contract between the engine process's HTTP server and whatever generates: a transformers model, an echo.

An engine is loaded once, in a process of its own, then serves many requests at a time. Text goes in as messages or
as a prompt, since only the engine knows the template and the tokenizer; events come out.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from protocol.control import ModelInfo
from workers.engines.figures import Totals
from workers.errors import BadRequest

FinishReason = Literal["stop", "length", "tool_calls"]
DownloadReport = Callable[[int, int], None]
"""Hears how many bytes of a model are here, and of how many. From any thread."""


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

    None: what the model's own settings recommend, else 1. The other defaults ask for nothing.
    """

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    top_k: int = 0
    min_p: float = 0.0
    """Of the likeliest token's probability."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    """Divides the logits of what prompt or answer hold already (multiplies negative ones)."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    min_tokens: int = 0
    """Before so many have come, nothing that ends the answer is chosen."""
    ignores_end: bool = False
    """The model's own end of text does not end the answer."""
    stop_tokens: frozenset[int] = frozenset()
    """They end it too."""
    logprobs: int | None = None
    """How many alternatives are told for each token; None: not even its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """How likely the model alone found a token. `text` may hold half a character; `spelling` has its bytes."""

    text: str
    spelling: bytes
    logprob: float
    top: "tuple[TokenLogprob, ...]" = ()
    """Of a chosen token: the likeliest ones at its place, itself perhaps among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """An answer that another engine with the same model had begun, and did not live to end.

    `tokens`: what it had generated, by TextDelta.tokens. `num_chars`: how much of their text the caller has. The answer
    goes on as if this engine had generated them: they count as completion tokens, and their text is not told again.
    """

    tokens: tuple[int, ...]
    num_chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What an answer must look like: `source` is a JSON schema, a regular expression, or a grammar (Lark's or GBNF).

    Not strict: keywords of a schema that cannot be enforced are passed over, instead of refused.
    """

    kind: Literal["json_schema", "regex", "grammar"]
    source: Any
    is_strict: bool = True
    param: str
    """The parameter that asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """How the tools may be called, each by its name."""

    must_call: tuple[str, ...] = ()
    """One of these must be called; empty: that is the model's choice."""
    strict: tuple[str, ...] = ()
    """The arguments of these keep to their schema, also where the model chooses."""
    is_parallel: bool = True
    """Whether there may be several calls in one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """One generation. Exactly one of `messages` (a chat), `prompt` (text) and `prompt_tokens` (ids) is given.

    Messages are OpenAI's, with `content` a string or None and every role one of system, user, assistant, tool. For a
    model that sees, a user's content may also be a list of {"type": "text", "text": str} and {"type": "image",
    "image": bytes of a file}.
    """

    request_id: str
    model: str = ""
    """As the caller names it: the base model or one of its adapters; empty: the base model."""
    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None
    prompt_tokens: list[int] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_use: ToolUse = field(default_factory=ToolUse)
    max_tokens: int | None = None
    """None: to the end of the context."""
    stop: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    continues_last_message: bool = False
    """Go on with the last message, the assistant's own, instead of opening a new one."""
    form: Form | None = None
    resume: Resume | None = None
    echoes_prompt: bool = False
    """The answer begins with the prompt's own text."""
    is_further_choice: bool = False
    """Another answer to the prompt of an earlier generation, which counts that prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the engine's own tokenizer counts them.

    `prompt_tokens`: exactly what the model was fed, template included. `completion_tokens`: every token that was
    generated, those of a stop string included, the end-of-text token not.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt's: those that had been computed for an earlier request."""
    reasoning_tokens: int = 0
    """Of the completion's: those of thoughts, the mark at their end included."""


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
    logprobs: tuple[TokenLogprob, ...] = ()
    """One for each of `tokens`, if they are wanted."""
    is_thought: bool = False
    """What the model thinks before it answers."""


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
class Classifications:
    """For each input, in order, the probability of every label."""

    scores: list[Mapping[str, float]]
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """How well each document answers the query, in the order in which they came: the higher the better."""

    scores: list[float]
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcribe:
    """A recording to be written down."""

    data: bytes
    """The file, in whatever format."""
    language: str | None = None
    """A code such as `en`; None: the engine finds out."""
    prompt: str | None = None
    """What was said before, or words that are to be spelt so."""
    temperature: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenSegment:
    """A sentence or so, with when it was said, in seconds; probabilities are of the window that it was heard in."""

    start_s: float
    end_s: float
    window_start_s: float
    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """All that was said. `language` is its name, such as `english`."""

    language: str = ""
    duration_s: float = 0.0
    segments: tuple[SpokenSegment, ...] = ()
    usage: Usage = Usage()

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStats:
    """Load at this moment, and all that was done until now."""

    num_running: int
    num_waiting: int
    cache_usage: float | None = None
    """Share of the room for keys and values that is in use; None: not known."""
    num_out_of_memory: int = 0
    """Steps that did not fit into memory, since the engine started."""
    max_step_tokens: int | None = None
    """What a step may have now, which is less each time that one did not fit; None: not known."""
    totals: Totals | None = None
    """Counted by the engine's server; None: not told."""


class Engine(Protocol):
    """What an engine does. One instance for each engine process. What it cannot do it leaves as it is here."""

    async def load(self, report: Callable[[float], None]) -> ModelInfo:
        """Make ready; `report` takes progress from 0 to 1, from any thread. Called once, first. Raises LoadError."""

    async def generate(self, request: Generate) -> Generation:
        """Check the request and put it in line. Raises BadRequest, ContextLengthExceeded, ModelNotFound, Overloaded."""
        raise BadRequest("This model does not write text.", param="model")

    async def use_adapters(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Use these adapters from now on, name → source, and no others. For each why it cannot be used, or ""."""
        return dict.fromkeys(wanted, "A model of this kind cannot have adapters.")

    async def embed(
        self, inputs: list[str] | list[list[int]], dimensions: int | None = None, *, model: str = ""
    ) -> Embeddings:
        """Vectors, of unit length unless the model declares that theirs is not, cut to so many dimensions.

        `model`: see Generate. Raises ContextLengthExceeded, BadRequest (an input out of range is named, and too many
        dimensions), ModelNotFound.
        """
        raise BadRequest("This model makes no embeddings.", param="model")

    async def classify(self, inputs: list[str]) -> Classifications:
        """Only of a model with the capability for moderation. Raises BadRequest; ContextLengthExceeded."""
        raise BadRequest("This model has no labels for texts.", param="model")

    async def rerank(self, query: str, documents: list[str]) -> Ranking:
        """Only of a model with that capability. Raises ContextLengthExceeded."""
        raise BadRequest("This model does not rank documents.", param="model")

    async def transcribe(self, request: Transcribe) -> Transcript:
        """Only of a model with the capability for transcription. Raises BadRequest, Overloaded."""
        raise BadRequest("This model does not hear.", param="model")

    async def tokenize(self, request: Generate) -> list[int]:
        """The ids that the model would be fed; of a text far beyond its context maybe not all. Raises BadRequest."""
        raise BadRequest("This model is fed no text.", param="model")

    def stats(self) -> EngineStats:
        """Raises EngineFailed when it is stuck."""

    async def close(self) -> None:
        """Fail what runs and free the model."""
