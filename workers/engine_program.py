"""How the daemon and an engine program talk: the program is `workers.engines` for our own engines, and
`workers.children`, which runs somebody else's server, for the others.

    stdin   first line: an EngineSpec as JSON. End of file: the daemon is gone, so the program goes too.
    stdout  one EngineReport a line; nothing else, whatever libraries print.
    stderr  the log.

SIGTERM ends it too. Exit status: 0 when told to end, 1 when the model could not be loaded.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TextIO

from protocol.codec import encode
from protocol.control import Download, ModelInfo, ReplicaPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildAddress:
    """Where a child server answers, and how it wants to be asked."""

    url: str
    """http://127.0.0.1:PORT"""
    api_key: str
    """What it wants to see in the Authorization header, if it looks."""
    model: str
    """What it wants to see in the field `model`."""
    health_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineReport:
    """A line of the program's stdout. READY carries `info`, and a child server's address."""

    phase: ReplicaPhase
    progress: float = 0.0
    download: Download | None = None
    """While LOADING, as long as the model still comes from a hub; `progress` is that of the download then."""
    error: str = ""
    info: ModelInfo | None = None
    child: ChildAddress | None = None


class StatusLines:
    """The program's stdout, kept for reports: whatever else is printed goes to stderr from here on."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
        os.dup2(2, 1)
        self._told = (False, -1)

    def loading(self, progress: float) -> None:
        """From any thread. A model has thousands of weights: only whole percents are told."""
        self._tell(int(progress * 100), None)

    def downloading(self, num_bytes: int, total_bytes: int) -> None:
        """Before the loading begins; `num_bytes` of a model are here. From any thread."""
        percent = 100 * num_bytes // max(total_bytes, 1)
        self._tell(percent, Download(num_bytes=num_bytes, total_bytes=total_bytes))

    def _tell(self, percent: int, download: Download | None) -> None:
        # Threads may come with theirs out of order: what is told only ever goes on.
        told = (download is None, percent)
        if told > self._told:
            self._told = told
            self._write(EngineReport(phase=ReplicaPhase.LOADING, progress=percent / 100, download=download))

    def ready(self, info: ModelInfo, child: ChildAddress | None = None) -> None:
        self._write(EngineReport(phase=ReplicaPhase.READY, info=info, child=child))

    def failed(self, error: str) -> None:
        self._write(EngineReport(phase=ReplicaPhase.FAILED, error=error))

    def _write(self, report: EngineReport) -> None:
        # A daemon that no longer reads is gone; the end of stdin says so in a moment.
        with contextlib.suppress(BrokenPipeError):
            self._out.write(encode(report).decode() + "\n")
            self._out.flush()


@contextlib.asynccontextmanager
async def orders() -> AsyncIterator[tuple[bytes, asyncio.Event]]:
    """The first line of stdin, and an event that is set when this program must end."""
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    stdin = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(stdin)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    line = await stdin.readline()
    watch = asyncio.create_task(_watch(stdin, end), name="end of stdin")
    try:
        yield line, end
    finally:
        watch.cancel()


async def _watch(stdin: asyncio.StreamReader, end: asyncio.Event) -> None:
    while await stdin.read(4096):
        pass
    end.set()
