"""What an engine must answer before anybody's request reaches it. Engines here are HTTP servers that say what they
are told to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from protocol.control import ReplicaPhase
from tests.workers.conftest import wait_for
from workers.canary import CanaryFailed, ask_canary

CHAT = {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}]}


@asynccontextmanager
async def engine_that(answers: Callable[[web.Request], Any], folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    app = web.Application()
    app.router.add_post("/v1/{endpoint:.+}", answers)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "e.sock")).start()
    try:
        async with aiohttp.ClientSession(
            "http://engine", connector=aiohttp.UnixConnector(path=str(folder / "e.sock"))
        ) as session:
            yield session
    finally:
        await runner.cleanup()


def saying(body: Any, status: int = 200) -> Callable[[web.Request], Any]:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return answer


@pytest.mark.parametrize(
    ("capability", "body"),
    [
        ("chat", CHAT),
        ("completions", {"choices": [{"finish_reason": "length", "text": ""}]}),
        ("embeddings", {"data": [{"embedding": [0.5, -0.5]}]}),
        ("rerank", {"results": [{"index": 0, "relevance_score": 0.5}]}),
        ("transcription", {"text": ""}),
    ],
)
async def test_an_answer_in_openais_form_is_enough(tmp_path, capability, body):
    async with engine_that(saying(body), tmp_path) as engine:
        await ask_canary(engine, "m", [capability])


@pytest.mark.parametrize(
    ("capability", "body"),
    [
        ("chat", {"choices": []}),
        ("chat", "garbage"),
        ("completions", {"choices": [{"finish_reason": "stop"}]}),
        ("embeddings", {"data": [{"embedding": [0.0, 0.0]}]}),
        ("embeddings", {"data": [{"embedding": [None]}]}),
        ("embeddings", {"data": []}),
        ("rerank", {"results": []}),
        ("transcription", {}),
        ("rerank", {"results": [{"index": 0, "relevance_score": None}]}),
    ],
)
async def test_garbage_is_no_answer(tmp_path, capability, body):
    async with engine_that(saying(body), tmp_path) as engine:
        with pytest.raises(CanaryFailed):
            await ask_canary(engine, "m", [capability])


async def test_an_error_is_told_in_the_engines_words(tmp_path):
    async with engine_that(saying({"error": {"message": "no kernel image"}}, status=500), tmp_path) as engine:
        with pytest.raises(CanaryFailed, match=r"500: .*no kernel image"):
            await ask_canary(engine, "m", ["chat"])


async def test_an_engine_that_hangs_fails_after_its_time(tmp_path):
    is_over = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        await is_over.wait()
        return web.Response()

    async with engine_that(hang, tmp_path) as engine:
        with pytest.raises(CanaryFailed, match="no answer within"):
            await ask_canary(engine, "m", ["chat"], timeout_s=0.2)
        is_over.set()


async def test_an_engine_that_breaks_at_the_canary_is_never_ready(start_engine):
    async with start_engine("fail_after=0") as engine:
        await wait_for(lambda: engine.phase is ReplicaPhase.FAILED)
        assert "canary" in engine.status().error
