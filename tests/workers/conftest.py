import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web

from protocol.control import DesiredReplica, ReplicaPhase
from tests.processes import command_of
from workers.engine_process import EngineProcess
from workers.liveness import PROBE_INTERVAL_S, PROBE_TIMEOUT_S
from workers.programs import Programs
from workers.server import WorkerServer

SECRET = "flt-gateway-secret"
PATIENCE_S = 120
NO_PROGRAMS = Programs()


async def wait_for(condition: Callable[[], Any]) -> None:
    """Until the condition is true."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - other processes set no events
            await asyncio.sleep(0.02)


def engine_processes() -> list[psutil.Process]:
    """Those of this test; the process that runs it may have children that belong to the whole run."""
    return [child for child in psutil.Process().children() if "workers.engines" in command_of(child)]


class Daemon:
    """The gateway's door with one echo engine behind it, in a process of its own as ever."""

    def __init__(self, engine: EngineProcess, http: aiohttp.ClientSession, url: str) -> None:
        self.engine, self.http, self.url = engine, http, url

    def ask(self, path: str = "/v1/chat/completions", **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {SECRET}", "X-Flotilla-Replica": self.engine.replica.replica_id}
        headers |= options.pop("headers", {})
        return self.http.post(self.url + path, headers=headers, **options)

    def chat(self, text: str, *, stream: bool = False, request_id: str = "") -> Any:
        body = {"model": "echo", "messages": [{"role": "user", "content": text}], "stream": stream}
        return self.ask(json=body, headers={"X-Request-ID": request_id} if request_id else {})


@asynccontextmanager
async def engine_process(
    folder: Path, source: str = "", programs: Programs = NO_PROGRAMS, **spec: Any
) -> AsyncIterator[EngineProcess]:
    given = {"model": "echo-1", "engine": "echo", "source": source, "max_concurrency": 8} | spec
    engine = EngineProcess(DesiredReplica(replica_id="r1", **given), folder / "e.sock", lambda: None, programs=programs)
    watcher = asyncio.create_task(engine.run())
    try:
        yield engine
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


@asynccontextmanager
async def daemon(folder: Path, source: str = "", **spec: Any) -> AsyncIterator[Daemon]:
    async with engine_process(folder, source, **spec) as engine, aiohttp.ClientSession() as http:
        app = WorkerServer({"r1": engine}, lambda: SECRET, metrics_token="for prometheus").make_app()
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            await wait_for(lambda: engine.phase is ReplicaPhase.READY)
            yield Daemon(engine, http, f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()


@pytest.fixture
def quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hang is noticed sooner than elsewhere; an engine on a busy machine still has the time to answer."""
    monkeypatch.setattr("workers.engine_process.PROBE_INTERVAL_S", PROBE_INTERVAL_S / 10)
    monkeypatch.setattr("workers.engine_connection._TIMEOUT", aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S / 3))


@pytest.fixture
def start_daemon(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`async with start_daemon("delay=0.05") as daemon`."""
    return lambda source="", **spec: daemon(tmp_path_factory.mktemp("d"), source, **spec)


@pytest.fixture
def start_engine(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`async with start_engine("delay=0.05") as engine`: not ready yet."""
    return lambda source="", **spec: engine_process(tmp_path_factory.mktemp("e"), source, **spec)
