"""The end of a process that leads a group of its own, and of all that it has started."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from contextlib import suppress

_TERM_TIMEOUT_S = 5.0


async def end_group(process: Process) -> None:
    """SIGTERM, some seconds, SIGKILL for it and all that it has started."""
    try:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(_TERM_TIMEOUT_S):
                await process.wait()
    except (TimeoutError, asyncio.CancelledError):
        pass
    kill_group(process)
    await process.wait()


def kill_group(process: Process) -> None:
    """This instant. The group outlives its leader for as long as one process is in there."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
