"""An engine without a model: it says what it was told. For tests, demos and trying out a fleet.

A chat is answered with the text of the last user message, a completion with its prompt; embeddings are unit vectors
that depend on nothing but the text. It is instant and takes no memory.

**Tokens.** A token is a run of printable ASCII, or one other character, with the whitespace before it; trailing
whitespace is a token too. `"Hello,  world 你好"` has four: `Hello,` `  world` ` 你` `好`. Every token is one delta, so
counts can be checked by eye. A prompt given as ids reads as the numbers themselves. The id of a token is its
place in the prompt, or in the answer.

**Options** stand in the spec's source as `name=value`, separated by commas:

    delay=0.05         seconds before each token: a stream long enough to be cut
    repeat=100         the answer is said that many times
    context=8192       context length in tokens
    load_time=5        seconds that loading takes
    fail_load=1        the engine cannot load
    fail_after=3       every answer breaks after that many tokens; at 0 the canary finds out
    fail_from=10       from that request on, the canary being the first, every answer breaks at once
    refuse_from=10     from that request on all are refused as if the line were full
    out_of_memory_from=10  from that request on each makes steps smaller, as if one had not fitted into memory; when
                       they cannot be smaller, answers break
    die_after=3        the process ends, as if it were killed, in any answer after that many tokens
"""

import asyncio
import hashlib
import math
import os
import re
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, fields

from protocol.control import ModelInfo
from workers.engines.base import (
    Embeddings,
    Engine,
    EngineSpec,
    EngineStats,
    Finished,
    Generate,
    GenerationEvent,
    Started,
    TextDelta,
    Usage,
)
from workers.engines.limits import check_input_length, check_room, completion_budget
from workers.engines.step_bound import StepBound
from workers.engines.stop_strings import StopStrings
from workers.errors import BadRequest, EngineError, EngineFailed, LoadError, Overloaded, RequestCancelled

CAPABILITIES = ["chat", "completions", "embeddings", "tokenize", "continuation", "resume"]
VOCABULARY_SIZE = 100_000
EMBEDDING_SIZE = 64
_SECONDS = ("delay", "load_time")
_TOKEN = re.compile(r"\s*(?:[!-~]+|\S)|\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoOptions:
    """How this echo behaves; see the module's docstring."""

    delay: float = 0.0
    repeat: int = 1
    context: int = 8192
    load_time: float = 0.0
    fail_load: int = 0
    fail_after: int | None = None
    fail_from: float = math.inf
    refuse_from: float = math.inf
    out_of_memory_from: float = math.inf
    die_after: float = math.inf


def parse_options(source: str) -> EchoOptions:
    """The options in a spec's source. Raises LoadError."""
    names = {option.name for option in fields(EchoOptions)}
    values: dict[str, float | int] = {}
    for part in filter(None, (part.strip() for part in source.split(","))):
        name, _, value = part.partition("=")
        try:
            values[name] = float(value) if name in _SECONDS else int(value)
        except ValueError as error:
            raise LoadError(f"The echo engine's option {part!r} needs a number after '='.") from error
    if unknown := sorted(values.keys() - names):
        raise LoadError(f"The echo engine has no option {unknown[0]!r}; it has {', '.join(sorted(names))}.")
    return EchoOptions(**values)  # type: ignore[arg-type]


def tokenize(text: str) -> list[str]:
    """The tokens of a text; joined they are the text again."""
    return _TOKEN.findall(text)


class EchoEngine(Engine):
    """See the module's docstring."""

    def __init__(self, spec: EngineSpec) -> None:
        self._source = spec.source
        self._max_concurrency = spec.max_concurrency
        self._slots = asyncio.Semaphore(spec.max_concurrency)
        self._open: set[EchoGeneration] = set()
        self.options = EchoOptions()
        self._num_requests = 0
        self._bound = StepBound()

    async def load(self, report: Callable[[float], None]) -> ModelInfo:
        self.options = parse_options(self._source)
        await asyncio.sleep(self.options.load_time)
        if self.options.fail_load:
            raise LoadError("The echo engine was told to fail at loading.")
        report(1.0)
        return ModelInfo(context_length=self.options.context, capabilities=CAPABILITIES)

    async def generate(self, request: Generate) -> "EchoGeneration":
        check_room(len(self._open), self._max_concurrency, retry_after_s=1)
        self._num_requests += 1
        if self._num_requests >= self.options.refuse_from:
            raise Overloaded("The echo engine was told to refuse. Please try again later.")
        generation = EchoGeneration(self, request, self._feigned_error())
        self._open.add(generation)
        return generation

    async def use_adapters(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """It says the same with any of them; those from a source “missing” are not there."""
        return {name: "There is no such folder." if source == "missing" else "" for name, source in wanted.items()}

    async def embed(
        self, inputs: list[str] | list[list[int]], dimensions: int | None = None, *, model: str = ""
    ) -> Embeddings:
        prompts = [tokenize(item) if isinstance(item, str) else _spell(item, param="input") for item in inputs]
        for position, prompt in enumerate(prompts):
            check_input_length(len(prompt), position, self.options.context)
        return Embeddings(
            vectors=[_unit_vector("".join(prompt)) for prompt in prompts],
            usage=Usage(prompt_tokens=sum(map(len, prompts))),
        )

    async def tokenize(self, request: Generate) -> list[int]:
        return list(range(len(_prompt_and_answer(request)[0])))

    def stats(self) -> EngineStats:
        num_running = sum(generation.is_running for generation in self._open)
        return EngineStats(
            num_running=num_running,
            num_waiting=len(self._open) - num_running,
            num_out_of_memory=self._bound.num_out_of_memory,
            max_step_tokens=self._bound.max_tokens if self._bound.num_out_of_memory else None,
        )

    async def close(self) -> None:
        for generation in list(self._open):
            generation.fail(EngineFailed("The engine is shutting down. Please send the request again."))

    def _feigned_error(self) -> EngineError | None:
        """What this request's answer is to break with."""
        if self._num_requests >= self.options.fail_from:
            return EngineFailed("The echo engine was told to break.")
        if self._num_requests >= self.options.out_of_memory_from and not self._bound.shrink():
            return EngineFailed("The echo engine was told to run out of memory.")
        return None

    def slot(self) -> asyncio.Semaphore:
        """To be held while generating."""
        return self._slots

    def forget(self, generation: "EchoGeneration") -> None:
        """It is finished or closed."""
        self._open.discard(generation)


class EchoGeneration:
    """One answer being echoed."""

    def __init__(self, engine: EchoEngine, request: Generate, error: EngineError | None) -> None:
        prompt, answer = _prompt_and_answer(request)
        self._engine, self._options = engine, engine.options
        self._budget = completion_budget(request, len(prompt), self._options.context)
        self._prompt_tokens = len(prompt)
        self._answer = (answer * self._options.repeat)[_num_said(request) :]
        self._num_told = len(request.resume.tokens) if request.resume else 0
        self._num_chars_known = request.resume.num_chars if request.resume else 0
        self._stops = StopStrings(request.stop)
        self._error = error
        self._events = self._run()
        self.is_running = False
        self.usage = Usage()

    def __aiter__(self) -> AsyncIterator[GenerationEvent]:
        return self._events

    def cancel(self) -> None:
        self.fail(RequestCancelled("The request was cancelled."))

    def fail(self, error: EngineError) -> None:
        """End with this error at the next token."""
        self._error = self._error or error

    async def aclose(self) -> None:
        await self._events.aclose()
        self._engine.forget(self)

    async def _run(self) -> AsyncGenerator[GenerationEvent, None]:
        async with self._engine.slot():
            self.is_running = True
            self.usage = Usage(prompt_tokens=self._prompt_tokens, completion_tokens=self._num_told)
            yield Started(usage=self.usage)
            for token in self._answer[: self._num_told]:
                self._beyond_known(self._stops.push(token))
            for number, token in list(enumerate(self._answer[: self._budget], start=1))[self._num_told :]:
                await self._wait(number)
                self.usage = Usage(prompt_tokens=self._prompt_tokens, completion_tokens=number)
                if text := self._beyond_known(self._stops.push(token)):
                    yield self._delta(text)
                if self._stops.is_matched:
                    break
            if text := self._beyond_known(self._stops.flush()):
                yield self._delta(text)
        self._engine.forget(self)
        is_cut = len(self._answer) > self._budget and not self._stops.is_matched
        yield Finished(finish_reason="length" if is_cut else "stop", usage=self.usage)

    def _beyond_known(self, text: str) -> str:
        num_known = min(self._num_chars_known, len(text))
        self._num_chars_known -= num_known
        return text[num_known:]

    def _delta(self, text: str) -> TextDelta:
        told, self._num_told = self._num_told, self.usage.completion_tokens
        return TextDelta(text=text, usage=self.usage, tokens=tuple(range(told, self._num_told)))

    async def _wait(self, number: int) -> None:
        # Also without a delay: one long echo must not keep the loop from the others.
        await asyncio.sleep(self._options.delay)
        if self._error is not None:
            raise self._error
        if number > self._options.die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._options.fail_after is not None and number > self._options.fail_after:
            raise EngineFailed(f"The echo engine was told to break after {self._options.fail_after} tokens.")


def _prompt_and_answer(request: Generate) -> tuple[list[str], list[str]]:
    """Tokens of all that was said, and of what is echoed."""
    if request.messages is None:
        prompt = tokenize(request.prompt or "")
        if request.prompt_tokens is not None:
            prompt = _spell(request.prompt_tokens, param="prompt")
        return prompt, prompt
    said = [(message["role"], tokenize(message.get("content") or "")) for message in request.messages]
    asked = [tokens for role, tokens in said if role == "user"]
    return [token for _, tokens in said for token in tokens], asked[-1] if asked else []


def _num_said(request: Generate) -> int:
    """How many tokens of the answer stand in the last message, which is to be continued."""
    if not request.continues_last_message or not request.messages:
        return 0
    return len(tokenize(request.messages[-1].get("content") or ""))


def _spell(ids: list[int], param: str) -> list[str]:
    """Token ids as the echo's tokens: the numbers with a space before all but the first."""
    for token in ids:
        if not 0 <= token < VOCABULARY_SIZE:
            raise BadRequest(f"Token id {token} is outside this model's vocabulary.", param=param)
    return [f" {token}" if position else str(token) for position, token in enumerate(ids)]


def _unit_vector(text: str) -> list[float]:
    digest = hashlib.shake_256(text.encode()).digest(EMBEDDING_SIZE)
    values = [byte - 127.5 for byte in digest]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]
