"""When a child server is ready, and what it then says of its model."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import msgspec

from protocol.control import ModelInfo
from protocol.parameters import VISION
from workers.children.eyes import has_eyes
from workers.children.launch import Ground, Launch
from workers.engine_program import ChildAddress
from workers.engines.base import EngineSpec

_POLL_INTERVAL_S = 0.25
_POLL_TIMEOUT_S = 5.0
_MAX_BYTES = 1024 * 1024


class _Meta(msgspec.Struct):
    n_ctx: int = 0


class _Model(msgspec.Struct):
    id: str
    max_model_len: int | None = None
    """As vLLM and SGLang tell it."""


class _Models(msgspec.Struct):
    data: list[_Model]


class _Modalities(msgspec.Struct):
    vision: bool = False


class _Properties(msgspec.Struct):
    """As llama-server tells them: what one request may have."""

    default_generation_settings: _Meta = msgspec.field(default_factory=_Meta)
    modalities: _Modalities = msgspec.field(default_factory=_Modalities)


async def ready_child(spec: EngineSpec, launch: Launch, ground: Ground) -> tuple[ModelInfo, ChildAddress]:
    """Wait for it, without an end."""
    url = f"http://127.0.0.1:{ground.port}"
    async with _client(url, ground) as client:
        while not await _is_ready(client, launch.health_path):  # noqa: ASYNC110 - servers set no events
            await asyncio.sleep(_POLL_INTERVAL_S)
        models = await _models(client)
        properties = await _told(client, "/props", _Properties) or _Properties()
    length = launch.context_length or _own_length(models) or max(0, properties.default_generation_settings.n_ctx)
    sees = launch.shows_images and (properties.modalities.vision or has_eyes(spec))
    info = ModelInfo(context_length=length, capabilities=[*launch.capabilities, *([VISION] if sees else [])])
    name = launch.model or _name(models, spec.model)
    return info, ChildAddress(url=url, api_key=ground.api_key, model=name, health_path=launch.health_path)


@asynccontextmanager
async def _client(url: str, ground: Ground) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {ground.api_key}"}
    timeout = aiohttp.ClientTimeout(total=_POLL_TIMEOUT_S)
    async with aiohttp.ClientSession(url, headers=headers, timeout=timeout) as client:
        yield client


async def _is_ready(client: aiohttp.ClientSession, health_path: str) -> bool:
    status = await _status(client, health_path)
    if status == 404:
        # Not everybody has a path for health.
        status = await _status(client, "/v1/models")
    return status == 200


async def _status(client: aiohttp.ClientSession, path: str) -> int | None:
    with suppress(aiohttp.ClientError, OSError):
        async with client.get(path, allow_redirects=False) as answer:
            return answer.status
    return None


async def _models(client: aiohttp.ClientSession) -> list[_Model]:
    told = await _told(client, "/v1/models", _Models)
    return told.data if told else []


async def _told(client: aiohttp.ClientSession, path: str, kind: Any) -> Any:
    """What it says there; None where it says nothing of that kind."""
    with suppress(aiohttp.ClientError, OSError, msgspec.DecodeError, UnicodeDecodeError):
        async with client.get(path, allow_redirects=False) as answer:
            if answer.status == 200:
                return msgspec.json.decode(await answer.content.read(_MAX_BYTES), type=kind)
    return None


def _own_length(models: list[_Model]) -> int:
    return max(0, min((model.max_model_len for model in models if model.max_model_len), default=0))


def _name(models: list[_Model], wanted: str) -> str:
    names = [model.id for model in models]
    return wanted if wanted in names or not names else names[0]
