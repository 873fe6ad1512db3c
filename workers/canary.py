"""The canary: one tiny real request that an engine must answer before anybody else's reaches it.

What has loaded may still be useless (wrong weights, a broken kernel, a template that does not fit). The daemon asks
over the engine's own socket, the road that every request takes, each time the engine was started.
"""

import asyncio
import base64
import io
import wave
from collections.abc import Collection
from typing import Annotated, Any

import aiohttp
import msgspec

from protocol.transcription import ENDPOINT

TIMEOUT_S = 120.0
"""The first answer may compile kernels; for one that takes longer the engine counts as broken."""

_MAX_BYTES = 1024 * 1024


def _silence() -> str:
    """A second of it, as base64."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(2 * 16_000))
    return base64.b64encode(file.getvalue()).decode()


_CHAT = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4, "temperature": 0}
_TEXT = {"prompt": "Hello", "max_tokens": 4, "temperature": 0}
_INPUT = {"input": "hello"}
_HEARD = {"file": {"name": "silence.wav", "type": "audio/wav", "data": _silence()}}
_RANKED = {"query": "hello", "documents": ["hello"]}
_PROMPTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat/completions", _CHAT),
    "completions": ("completions", _TEXT),
    "embeddings": ("embeddings", _INPUT),
    "moderation": ("moderations", _INPUT),
    "rerank": ("rerank", _RANKED),
    "transcription": (ENDPOINT, _HEARD),
}


class CanaryFailed(Exception):
    """The engine is loaded and does not answer; the text says how it failed."""


class _Choice(msgspec.Struct):
    finish_reason: str
    message: dict[str, Any] | None = None
    text: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]


class _Result(msgspec.Struct):
    category_scores: dict[str, float]


class _Moderation(msgspec.Struct):
    results: list[_Result]


class _Score(msgspec.Struct):
    relevance_score: float


class _Ranking(msgspec.Struct):
    results: Annotated[list[_Score], msgspec.Meta(min_length=1)]


class _Transcription(msgspec.Struct):
    text: str


class _Vector(msgspec.Struct):
    embedding: list[float]


class _Embeddings(msgspec.Struct):
    data: list[_Vector]


async def ask_canary(
    engine: aiohttp.ClientSession, model: str, capabilities: Collection[str], *, timeout_s: float = TIMEOUT_S
) -> None:
    """Return once the engine has answered in OpenAI's form. Raises CanaryFailed, within `timeout_s` seconds.

    What it says is not judged: a model may rightly end at once.
    """
    capability = next((name for name in _PROMPTS if name in capabilities), None)
    if capability is None:
        return
    endpoint, body = _PROMPTS[capability]
    try:
        async with asyncio.timeout(timeout_s):
            answer = await _post(engine, endpoint, {"model": model, **body})
    except TimeoutError as error:
        raise CanaryFailed(f"no answer within {timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise CanaryFailed(f"the connection broke: {error!r}") from error
    _check(answer, endpoint)


async def _post(engine: aiohttp.ClientSession, endpoint: str, body: dict[str, Any]) -> bytes:
    async with engine.post(f"/v1/{endpoint}", json=body) as answer:
        text = await answer.content.read(_MAX_BYTES)
        if answer.status != 200:
            raise CanaryFailed(f"it answered {answer.status}: {text[:300].decode(errors='replace')}")
        return text


def _check(answer: bytes, endpoint: str) -> None:
    try:
        if endpoint == "embeddings":
            _check_embeddings(msgspec.json.decode(answer, type=_Embeddings))
        elif endpoint == "moderations":
            # Scores that are no numbers come as nulls, which are refused.
            msgspec.json.decode(answer, type=_Moderation)
        elif endpoint == ENDPOINT:
            msgspec.json.decode(answer, type=_Transcription)
        elif endpoint == "rerank":
            msgspec.json.decode(answer, type=_Ranking)
        elif not _has_text(msgspec.json.decode(answer, type=_Completion)):
            raise CanaryFailed("its answer has no text")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CanaryFailed(f"its answer is not in OpenAI's form: {error}") from error


def _has_text(completion: _Completion) -> bool:
    return any(choice.message is not None or choice.text is not None for choice in completion.choices)


def _check_embeddings(embeddings: _Embeddings) -> None:
    vectors = [vector.embedding for vector in embeddings.data]
    # NaN and infinity are no JSON, so an engine that got lost gives nulls, which are refused, or nothing but zeros.
    if not vectors or not any(vectors[0]):
        raise CanaryFailed("its answer has no vector, or one that is all zeros")
