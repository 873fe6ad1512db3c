"""The daemon: everything one worker does, as named tasks. When one dies all stop, and the reason is told.

heartbeat     reports to the server and hears what should run
reconciler    loads and unloads; below it a watcher for each engine process
(the server for the gateway runs in aiohttp's own tasks)
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from urllib.parse import urlsplit

import aiohttp

from workers import tls
from workers.control_plane import ControlPlane
from workers.credential import sole_use
from workers.errors import SettingsInvalid, WorkerError
from workers.hardware import free_memory
from workers.inspection import Inspection
from workers.log import LogKeeper
from workers.membership import Membership
from workers.process import base_url, listening, socket_folder, stop_signal
from workers.programs import Programs
from workers.reconciler import Reconciler
from workers.server import WorkerServer
from workers.settings import WorkerSettings
from workers.store import ModelStore

logger = logging.getLogger(__name__)

_LAST_BEAT_TIMEOUT_S = 5.0


async def run(settings: WorkerSettings, log: LogKeeper) -> None:
    """Be a worker until SIGTERM or SIGINT; `log` keeps what it says for whoever asks.

    Raises WorkerError, or whatever killed one of the tasks.
    """
    with sole_use(settings.state_dir), socket_folder() as sockets:
        connector = aiohttp.TCPConnector(ssl=tls.trusting(settings.ca_file))
        async with aiohttp.ClientSession(connector=connector) as session:
            programs = Programs(envs=settings.engine_envs, may_run_code=settings.allow_code)
            membership = Membership(settings, ControlPlane(settings.server, session), programs)
            reconciler = Reconciler(
                sockets,
                unload_timeout_s=settings.unload_timeout_s,
                on_change=membership.announce,
                programs=programs,
                free_memory=partial(free_memory, settings.memory_limit_bytes),
            )
            stop = stop_signal(reconciler.kill_all)
            inspection = Inspection(log, ModelStore(reconciler.replicas))
            async with _reachable(settings, membership, reconciler, inspection):
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


@asynccontextmanager
async def _reachable(
    settings: WorkerSettings, membership: Membership, reconciler: Reconciler, inspection: Inspection
) -> AsyncIterator[None]:
    app = WorkerServer(
        reconciler.engines, lambda: membership.gateway_secret, metrics_token=settings.metrics_token
    ).make_app()
    inspection.add_to(app)
    context = tls.showing(settings.tls_cert, settings.tls_key)
    async with listening(app, settings.listen_host, settings.listen_port, context=context, flag="--listen") as port:
        membership.address = settings.advertise or await asyncio.to_thread(_own_address, settings, port)
        logger.info("Listening on port %d, reachable at %s.", port, membership.address)
        yield


def _own_address(settings: WorkerSettings, port: int) -> str:
    host = settings.listen_host
    if host in ("0.0.0.0", "::"):
        host = _ip_towards(str(urlsplit(settings.server).hostname))
    return base_url(host, port, is_tls=bool(settings.tls_cert))


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
