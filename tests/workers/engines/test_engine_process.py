"""`python -m workers.engines`: the process that the daemon starts for each model."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from workers.engines.echo import CAPABILITIES

_DEADLINE_S = 120


@dataclass
class EngineProcess:
    """A running engine process and the socket that it was told to use."""

    process: asyncio.subprocess.Process
    socket: Path

    async def status(self, phase: str) -> dict[str, Any]:
        """The first status line with this phase."""
        assert self.process.stdout is not None
        async with asyncio.timeout(_DEADLINE_S):
            async for line in self.process.stdout:
                status = json.loads(line)
                if status["phase"] == phase:
                    return status  # type: ignore[no-any-return]
        raise AssertionError(f"the process ended without the phase {phase}")

    async def ended(self) -> int:
        async with asyncio.timeout(_DEADLINE_S):
            return await self.process.wait()

    async def is_idle(self, session: aiohttp.ClientSession) -> bool:
        """Whether nothing runs any more, now or soon."""
        async with asyncio.timeout(_DEADLINE_S):
            while await self._num_requests(session):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return True

    async def _num_requests(self, session: aiohttp.ClientSession) -> int:
        stats = await (await session.get("/stats")).json()
        return stats["num_running"] + stats["num_waiting"]

    def session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession("http://engine", connector=aiohttp.UnixConnector(str(self.socket)))


Start = Callable[..., Awaitable[EngineProcess]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    processes: list[asyncio.subprocess.Process] = []

    async def start(spec: dict[str, Any] | str) -> EngineProcess:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "workers.engines", "--socket", str(tmp_path / "engine.sock"),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            cwd=Path(__file__).parents[3],
        )  # fmt: skip
        processes.append(process)
        assert process.stdin is not None
        process.stdin.write((spec if isinstance(spec, str) else json.dumps(spec)).encode() + b"\n")
        return EngineProcess(process, tmp_path / "engine.sock")

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


async def test_it_reports_serves_and_ends_with_its_daemon(start: Start) -> None:
    engine = await start({"engine": "echo", "source": "context=100"})
    info = (await engine.status("ready"))["info"]
    async with engine.session() as session, session.get("/health") as health:
        assert health.status == 200

    assert engine.process.stdin is not None
    engine.process.stdin.close()

    assert await engine.ended() == 0
    assert info == {"context_length": 100, "capabilities": CAPABILITIES}
    assert not engine.socket.exists()


async def test_a_hang_up_reaches_the_engine(start: Start) -> None:
    engine = await start({"engine": "echo", "source": "delay=0.1,repeat=4000"})
    await engine.status("ready")
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    async with engine.session() as session:
        with pytest.raises(TimeoutError):
            await session.post("/v1/chat/completions", json=body, timeout=aiohttp.ClientTimeout(total=0.3))

        assert await engine.is_idle(session)


async def test_sigterm_ends_an_open_stream_with_an_error_event(start: Start) -> None:
    engine = await start({"engine": "echo", "source": "delay=0.01,repeat=4000"})
    await engine.status("ready")
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
    async with engine.session() as session, session.post("/v1/chat/completions", json=body) as response:
        await response.content.readuntil(b"\n\n")

        os.kill(engine.process.pid, signal.SIGTERM)
        events = (await response.text()).split("\n\n")

    assert "shutting down" in json.loads(events[-3].removeprefix("data: "))["error"]["message"]
    assert events[-2] == "data: [DONE]"
    assert await engine.ended() == 0


async def test_a_transformers_model_is_loaded_and_answers(start: Start, model_folder: Callable[[str], Path]) -> None:
    engine = await start({"engine": "transformers", "source": str(model_folder("parrot")), "device": "cpu"})
    await engine.status("ready")
    body = {"model": "m", "messages": [{"role": "user", "content": "Speak"}]}
    async with engine.session() as session, session.post("/v1/chat/completions", json=body) as response:
        answer = await response.json()

    engine.process.terminate()

    assert answer["choices"][0]["message"]["content"] == "Hello 世界🦜 naïve today"
    assert await engine.ended() == 0


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"engine": "transformers", "source": "/no/such/folder"}, "There is no folder"),
        ({"engine": "echo", "source": "speed=9"}, "no option"),
        ({"engine": "warp", "source": ""}, "There is no engine"),
        ("not json", "malformed"),
    ],
)
async def test_what_cannot_be_loaded_is_told_and_ends_the_process(start: Start, spec: Any, reason: str) -> None:
    engine = await start(spec)

    failed = await engine.status("failed")

    assert reason in failed["error"]
    assert await engine.ended() == 1


async def test_an_echo_can_be_told_to_die_in_the_middle_of_an_answer(start: Start) -> None:
    engine = await start({"engine": "echo", "source": "die_after=1"})
    await engine.status("ready")
    body = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}

    async with engine.session() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post("/v1/chat/completions", json=body)

    assert await engine.ended() == -signal.SIGKILL
