"""What every serving program here does as a process: it listens, ends on a signal, and has a folder for its sockets."""

import asyncio
import os
import shutil
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiohttp import web

from workers.errors import SettingsInvalid

_KEEPALIVE_S = 3600.0
"""Longer than the gateway keeps a connection, so that it is the gateway that closes an idle one."""
_LONGEST_SOCKET_FOLDER = 70


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, context: ssl.SSLContext | None, flag: str
) -> AsyncIterator[int]:
    """Within: the app is served, at the port that this gives. Raises SettingsInvalid, which names the `flag`."""
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, keepalive_timeout=_KEEPALIVE_S, shutdown_timeout=1
    )
    await runner.setup()
    try:
        await _bind(web.TCPSite(runner, host, port, ssl_context=context), f"{host}:{port}", flag)
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def _bind(site: web.TCPSite, place: str, flag: str) -> None:
    try:
        await site.start()
    except OSError as error:
        raise SettingsInvalid(
            f"Cannot listen on {place}: {error.strerror or error}. Choose another {flag}; port 0 takes any free one."
        ) from error


def base_url(host: str, port: int, *, is_tls: bool) -> str:
    """Without a trailing slash."""
    scheme = "https" if is_tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def stop_signal(kill: Callable[[], None]) -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT. The second calls `kill` and ends the program this instant."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            kill()
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop


@contextmanager
def socket_folder() -> Iterator[Path]:
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
