"""Drives any server that speaks OpenAI's API, and takes the time of its tokens."""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from bench.engine.models import WORDS

_MAX_ROUND_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom to ask."""

    name: str
    url: str
    """With /v1."""
    model: str
    key: str = "none"
    extras: Mapping[str, Any] = field(default_factory=dict)
    """Fields beyond OpenAI's that it knows, such as ignore_eos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked. Each client asks `num_requests` times, one after the other; all begin at once."""

    num_clients: int
    num_requests: int = 1
    num_words: int = 24
    max_tokens: int = 48
    temperature: float = 0.0


@dataclass(slots=True)
class Round:
    """What one load saw of one server."""

    num_tokens: int = 0
    num_errors: int = 0
    duration_s: float = 0.0
    first_token_s: list[float] = field(default_factory=list)
    between_tokens_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def tokens_per_s(self) -> float:
        return self.num_tokens / self.duration_s

    def failed(self, reason: str) -> None:
        self.num_errors += 1
        self.errors.append(reason[:300])


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    completion_tokens: int


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = msgspec.field(default_factory=list)
    usage: _Usage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


class _Stopwatch:
    """Follows one stream, chunk by chunk."""

    def __init__(self, seen: Round, max_tokens: int) -> None:
        self._seen, self._max_tokens = seen, max_tokens
        self._came_at = time.perf_counter()
        self._num_deltas = 0
        self._usage: _Usage | None = None
        self._finish_reason: str | None = None

    def read(self, chunk: _Chunk) -> None:
        if chunk.error is not None:
            raise _Refused(str(chunk.error))
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices:
            self._finish_reason = choice.finish_reason or self._finish_reason
            if choice.delta.content:
                self._tick()

    def _tick(self) -> None:
        now = time.perf_counter()
        times = self._seen.between_tokens_s if self._num_deltas else self._seen.first_token_s
        times.append(now - self._came_at)
        self._came_at = now
        self._num_deltas += 1

    def stop(self) -> None:
        if not self._num_deltas:
            raise _Refused("The answer was empty.")
        self._seen.num_tokens += self._num_tokens()

    def _num_tokens(self) -> int:
        """As the server says; where it does not, by how it ended: FastChat sends every second token only."""
        if self._usage:
            return self._usage.completion_tokens
        return self._max_tokens if self._finish_reason == "length" else self._num_deltas


class _Refused(Exception):
    """The server did not answer; why."""


async def run_round(target: Target, load: Load, seed: str) -> Round:
    """The same seed makes the same prompts."""
    seen = Round()
    headers = {"Authorization": f"Bearer {target.key}"}
    timeout = aiohttp.ClientTimeout(total=_MAX_ROUND_S)
    # A connection for each request: llama.cpp's server hangs up after a stream without saying so before.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
        began = time.perf_counter()
        clients = (_client(session, target, load, f"{seed}/{number}", seen) for number in range(load.num_clients))
        await asyncio.gather(*clients)
        seen.duration_s = time.perf_counter() - began
    return seen


async def _client(session: aiohttp.ClientSession, target: Target, load: Load, seed: str, seen: Round) -> None:
    for number in range(load.num_requests):
        try:
            await _ask(session, target, load, make_prompt(load.num_words, f"{seed}/{number}"), seen)
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, _Refused) as error:
            seen.failed(f"{type(error).__name__}: {error}")


async def _ask(session: aiohttp.ClientSession, target: Target, load: Load, prompt: str, seen: Round) -> None:
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": load.max_tokens,
        "temperature": load.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
        **target.extras,
    }
    watch = _Stopwatch(seen, load.max_tokens)
    async with session.post(f"{target.url}/chat/completions", json=body) as answer:
        if answer.status != 200:
            raise _Refused(f"{answer.status} {await answer.text()}")
        async for line in answer.content:
            if line.startswith(b"data: {"):
                watch.read(_decoder.decode(line[6:]))
    watch.stop()


def make_prompt(num_words: int, seed: str) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=num_words))
