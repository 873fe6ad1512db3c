"""The standalone server as a program: it binds, loads, serves, and finishes what runs when it is told to stop."""

import asyncio
import logging
from contextlib import suppress

from protocol.control import ReplicaPhase
from protocol.tokens import TokenKind, make_token
from workers import tls
from workers.engine_process import EngineProcess
from workers.errors import LoadError
from workers.process import base_url, listening, socket_folder, stop_signal
from workers.standalone.server import StandaloneServer
from workers.standalone.settings import StandaloneSettings

logger = logging.getLogger(__name__)


async def serve_alone(settings: StandaloneSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises SettingsInvalid; LoadError if the model cannot be loaded to begin with.

    An engine that dies after it was ready once is started again, as everywhere.
    """
    beginning = _Beginning()
    with socket_folder() as sockets:
        engine = EngineProcess(settings.replica, sockets / "engine.sock", lambda: beginning.observe(engine))
        stop = stop_signal(engine.kill)
        api_key = settings.api_key or make_token(TokenKind.API_KEY)
        app = StandaloneServer(engine, api_key).make_app()
        context = tls.showing(settings.tls_cert, settings.tls_key)
        async with listening(app, settings.host, settings.port, context=context, flag="--port") as port:
            logger.info("Listening on %s/v1", base_url(settings.host, port, is_tls=bool(context)))
            if not settings.api_key:
                # Not by the log, which shows no secrets, and may be kept.
                print(f"API key, made for this run: {api_key}", flush=True)
            await _run(engine, beginning, stop, drain_timeout_s=settings.drain_timeout_s)


class _Beginning:
    """Whether the first load has failed; what becomes of an engine later on is not its concern."""

    def __init__(self) -> None:
        self.has_failed = asyncio.Event()
        self._was_ready = False

    def observe(self, engine: EngineProcess) -> None:
        self._was_ready |= engine.phase is ReplicaPhase.READY
        if engine.phase is ReplicaPhase.FAILED and not self._was_ready:
            self.has_failed.set()


async def _run(engine: EngineProcess, beginning: _Beginning, stop: asyncio.Event, *, drain_timeout_s: float) -> None:
    running = asyncio.create_task(engine.run(), name="engine")
    ends = [asyncio.create_task(stop.wait()), asyncio.create_task(beginning.has_failed.wait())]
    await asyncio.wait([running, *ends], return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    if stop.is_set():
        logger.info("Stopping ...")
        await engine.drain(drain_timeout_s, grace_s=0)
    error = engine.status().error
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    if beginning.has_failed.is_set() and not stop.is_set():
        raise LoadError(error)
