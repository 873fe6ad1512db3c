"""One process of our own engines: `python -m workers.engines --socket PATH`, started and watched by the worker daemon.
See workers.engine_program for how the two talk. PATH is a Unix socket that serves OpenAI's API once it is ready.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from protocol.codec import MalformedMessage, decode
from protocol.control import ModelInfo
from workers.engine_program import StatusLines, orders
from workers.engines.base import Engine, EngineSpec
from workers.engines.registry import make_engine
from workers.engines.server import EngineServer
from workers.engines.sources import fetched
from workers.errors import LoadError

logger = logging.getLogger(__name__)

_SHUTDOWN_TIMEOUT_S = 2.0
T = TypeVar("T")


def main() -> int:
    """The process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m workers.engines", description="One engine process.")
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    socket: Path = parser.parse_args().socket
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # Before torch is imported. Spinning OpenMP threads halve the speed next to any busy neighbour.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Bars of downloads would fill the log; how far they are is told as the replica's progress.
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.umask(0o077)
    try:
        return asyncio.run(run(socket, StatusLines()))
    finally:
        socket.unlink(missing_ok=True)


async def run(socket: Path, status: StatusLines) -> int:
    """Load, serve, and end when told to. The exit status."""
    async with orders() as (line, end):
        try:
            spec = decode(EngineSpec, line)
            local = await _unless_told_to_end(asyncio.to_thread(fetched, spec, status.downloading), end)
            # Told before torch is imported, which takes seconds.
            status.loading(0.0)
            engine = make_engine(local)
            info = await _load(engine, status, end)
        except (LoadError, MalformedMessage) as error:
            status.failed(str(error))
            return 1
        async with _serving(engine, EngineServer(engine, spec, info).make_app(), socket):
            status.ready(info)
            await end.wait()
    return 0


async def _load(engine: Engine, status: StatusLines, end: asyncio.Event) -> ModelInfo:
    """Load the engine. Raises LoadError."""
    try:
        return await _unless_told_to_end(engine.load(status.loading), end)
    except Exception as error:
        # Its threads would keep this process alive.
        await engine.close()
        if isinstance(error, LoadError):
            raise
        logger.exception("Loading failed")
        raise LoadError(f"The model could not be loaded: {type(error).__name__}: {error}") from error


async def _unless_told_to_end(work: Coroutine[Any, Any, T], end: asyncio.Event) -> T:
    """What comes of this; when told to end meanwhile, end at once."""
    working = asyncio.create_task(work)
    ending = asyncio.create_task(end.wait())
    await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        # It happens in a thread that nothing can interrupt, and there is nothing to save yet.
        os._exit(0)
    ending.cancel()
    return working.result()


@contextlib.asynccontextmanager
async def _serving(engine: Engine, app: web.Application, socket: Path) -> AsyncIterator[None]:
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
    try:
        await runner.setup()
        await web.UnixSite(runner, str(socket)).start()
        yield
    finally:
        # Before the server stops, so that open streams end with an error event and not as if they were whole; and
        # whatever happens, since the engine's threads would keep this process alive.
        await engine.close()
        await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())
