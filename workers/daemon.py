"""The daemon: everything one worker does, as named tasks. When one dies all stop, and the reason is told.

heartbeat     reports to the server and hears what should run
reconciler    loads and unloads; below it a watcher for each engine process
(the server for the gateway runs in aiohttp's own tasks)
"""

import asyncio
import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from workers import tls
from workers.control_plane import ControlPlane
from workers.credential import sole_use
from workers.errors import SettingsInvalid, WorkerError
from workers.membership import Membership
from workers.programs import Programs
from workers.reconciler import Reconciler
from workers.server import WorkerServer
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

_LAST_BEAT_TIMEOUT_S = 5.0
_KEEPALIVE_S = 3600.0
"""Longer than the gateway keeps a connection, so that it is the gateway that closes an idle one."""
_LONGEST_SOCKET_FOLDER = 70


async def run(settings: WorkerSettings) -> None:
    """Be a worker until SIGTERM or SIGINT. Raises WorkerError, or whatever killed one of the tasks."""
    with sole_use(settings.state_dir), _socket_folder() as sockets:
        connector = aiohttp.TCPConnector(ssl=tls.trusting(settings.ca_file))
        async with aiohttp.ClientSession(connector=connector) as session:
            programs = Programs(envs=settings.engine_envs, may_run_code=settings.allow_code)
            membership = Membership(settings, ControlPlane(settings.server, session), programs)
            reconciler = Reconciler(
                sockets,
                unload_timeout_s=settings.unload_timeout_s,
                on_change=membership.announce,
                programs=programs,
            )
            stop = _stop_signal(reconciler)
            async with _listening(settings, membership, reconciler):
                await _serve(membership, reconciler, stop, drain_timeout_s=settings.drain_timeout_s)


async def _serve(
    membership: Membership, reconciler: Reconciler, stop: asyncio.Event, *, drain_timeout_s: float
) -> None:
    working = asyncio.create_task(_work(membership, reconciler), name="work")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done() and membership.has_joined:
        await _drain(membership, reconciler, drain_timeout_s)
    working.cancel()
    with suppress(asyncio.CancelledError):
        await _reasoned(working)
    if stop.is_set() and membership.has_joined:
        await _say_goodbye(membership, reconciler)


async def _work(membership: Membership, reconciler: Reconciler) -> None:
    await membership.join()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(membership.beat_forever(reconciler), name="heartbeat")
        tasks.create_task(reconciler.run(), name="reconciler")


async def _drain(membership: Membership, reconciler: Reconciler, timeout_s: float) -> None:
    """Announced at once, so that no new request is sent here while those that run are finished."""
    logger.info("Draining ...")
    membership.is_draining = True
    membership.announce()
    await reconciler.unload_all(timeout_s)


async def _say_goodbye(membership: Membership, reconciler: Reconciler) -> None:
    """The last heartbeat: nothing is loaded any more. Best effort; silence would tell the same, only later."""
    with suppress(WorkerError, TimeoutError):
        async with asyncio.timeout(_LAST_BEAT_TIMEOUT_S):
            await membership.beat(reconciler)


async def _reasoned(working: asyncio.Task[None]) -> None:
    """Raises the first thing that went wrong, out of the groups that asyncio wraps it in."""
    try:
        await working
    except BaseExceptionGroup as group:
        reason: BaseException = group
        while isinstance(reason, BaseExceptionGroup):
            reason = reason.exceptions[0]
        raise reason from None


def _stop_signal(reconciler: Reconciler) -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT. The second ends the program, and every engine, this instant."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            reconciler.kill_all()
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop


@contextmanager
def _socket_folder() -> Iterator[Path]:
    """A folder that only this user may enter, with a path so short that names of Unix sockets fit."""
    base = tempfile.gettempdir()
    try:
        folder = tempfile.mkdtemp(prefix="flotilla-", dir=base if len(base) < _LONGEST_SOCKET_FOLDER else "/tmp")
    except OSError as error:
        raise SettingsInvalid(
            f"No folder can be made for temporary files: {error}. Make room, or set TMPDIR."
        ) from error
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _listening(settings: WorkerSettings, membership: Membership, reconciler: Reconciler) -> AsyncIterator[None]:
    app = WorkerServer(
        reconciler.engines, lambda: membership.gateway_secret, metrics_token=settings.metrics_token
    ).make_app()
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, keepalive_timeout=_KEEPALIVE_S, shutdown_timeout=1
    )
    await runner.setup()
    try:
        await _bind(runner, settings)
        membership.address = settings.advertise or await asyncio.to_thread(_own_address, settings, _port(runner))
        logger.info("Listening on port %d, reachable at %s.", _port(runner), membership.address)
        yield
    finally:
        await runner.cleanup()


async def _bind(runner: web.AppRunner, settings: WorkerSettings) -> None:
    try:
        context = tls.showing(settings.tls_cert, settings.tls_key)
        await web.TCPSite(runner, settings.listen_host, settings.listen_port, ssl_context=context).start()
    except OSError as error:
        raise SettingsInvalid(
            f"Cannot listen on {settings.listen_host}:{settings.listen_port}: {error.strerror or error}. "
            "Choose another --listen; port 0 takes any free one."
        ) from error


def _port(runner: web.AppRunner) -> int:
    return int(runner.addresses[0][1])


def _own_address(settings: WorkerSettings, port: int) -> str:
    host = settings.listen_host
    if host in ("0.0.0.0", "::"):
        host = _ip_towards(str(urlsplit(settings.server).hostname))
    scheme = "https" if settings.tls_cert else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _ip_towards(server: str) -> str:
    """This machine's IP address on the way to the server. Connecting a datagram socket sends nothing."""
    try:
        family, kind, _, _, target = socket.getaddrinfo(server, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise SettingsInvalid(
            f"Cannot tell by which address {server} reaches this machine: {error}. Say it with --advertise."
        ) from error
