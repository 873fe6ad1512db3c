"""Engines for tests: tiny models with random weights, a parrot, the echo; and a server around any of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import transformers
from aiohttp import web

from tests.workers.engines.tiny_models import save_model, save_parrot
from tests.workers.engines.tiny_seeing_models import save_llava
from workers.engines.base import Engine, EngineSpec, Generate, Generation, GenerationEvent, TextDelta
from workers.engines.echo import EchoEngine
from workers.engines.server import EngineServer
from workers.engines.transformers.engine import TransformersEngine

SENTENCE = ["Hello", " 世界", "🦜", " naïve", " today"]
TOOL_CALL = ["Hello", "<tool_call>", '{"name": "get_weather", "arguments": {"city": "Rome"}}', "</tool_call>"]
THOUGHT = ["<think>", " 世界", " naïve", "</think>", "Hello", " today"]
SCRIPTS: dict[str, Callable[[Path], Path]] = {
    "parrot": lambda path: save_parrot(path, SENTENCE),
    "thinker": lambda path: save_parrot(path, THOUGHT),
    "caller": lambda path: save_parrot(path, TOOL_CALL),
    "llava": save_llava,
    "base": lambda path: save_parrot(path, ["Hello", "\nUser: And", "you"], after=":", has_template=False),
}

Served = Callable[[Engine, EngineSpec], AbstractAsyncContextManager[openai.AsyncOpenAI]]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Family → folder with a tiny model of it."""
    transformers.utils.logging.disable_progress_bar()
    base = tmp_path_factory.mktemp("models")

    def folder(family: str) -> Path:
        path = base / family
        if not path.exists():
            SCRIPTS[family](path) if family in SCRIPTS else save_model(family, path)
        return path

    return folder


@pytest.fixture(scope="session")
def load_engine(model_folder: Callable[[str], Path]) -> Iterator[Callable[..., TransformersEngine]]:
    """Family, slots and options → loaded engine, the same one each time."""
    engines: dict[object, TransformersEngine] = {}

    def load(family: str, max_concurrency: int = 4, **options: object) -> TransformersEngine:
        key = (family, max_concurrency, *options.items())
        if key not in engines:
            spec = EngineSpec(
                engine="transformers", source=str(model_folder(family)), device="cpu", max_concurrency=max_concurrency,
                options=options,
            )  # fmt: skip
            engines[key] = TransformersEngine(spec)
            # In a thread: an engine outlives the event loop of the test that needs it first.
            with ThreadPoolExecutor(1) as pool:
                pool.submit(asyncio.run, engines[key].load(lambda progress: None)).result()
        return engines[key]

    yield load
    for engine in engines.values():
        asyncio.run(engine.close())


@asynccontextmanager
async def loaded(folder: Path, **options: object) -> AsyncIterator[TransformersEngine]:
    """The engine with this folder's model, for one test."""
    engine = TransformersEngine(EngineSpec(engine="transformers", source=str(folder), device="cpu", options=options))
    try:
        await engine.load(lambda progress: None)
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def serve(engine: Engine, spec: EngineSpec) -> AsyncIterator[openai.AsyncOpenAI]:
    """The engine's server on a TCP port, and a client of it."""
    info = await engine.load(lambda progress: None) if isinstance(engine, EchoEngine) else engine.info
    runner = web.AppRunner(EngineServer(engine, spec, info).make_app(), handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as client:
        yield client
    await runner.cleanup()


@pytest.fixture
async def echo_client() -> AsyncIterator[openai.AsyncOpenAI]:
    spec = EngineSpec(engine="echo", source="")
    async with serve(EchoEngine(spec), spec) as client:
        yield client


async def collect(generation: Generation) -> list[GenerationEvent]:
    """All events, the generation closed."""
    try:
        return [event async for event in generation]
    finally:
        await generation.aclose()


def text_of(events: list[GenerationEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def chat(text: str, **options: object) -> Generate:
    """A chat of one user message."""
    return Generate(request_id="test", messages=[{"role": "user", "content": text}], **options)  # type: ignore[arg-type]


async def post(client: openai.AsyncOpenAI, path: str, body: bytes | dict[str, Any]) -> httpx2.Response:
    """Past the official client, which would not let this through."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with httpx2.AsyncClient(base_url=client.base_url) as plain:
        return await plain.post(path, content=content)
