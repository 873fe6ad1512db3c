"""One child server: `python -m workers.children`, started and watched by the worker daemon; see workers.engine_program
for how the two talk. The daemon asks the child itself; this program starts it, tells when it is ready, passes on its
log, and sees to it that nothing of it is left behind, also when the daemon is killed.
"""

import asyncio
import os
import re
import secrets
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from contextlib import suppress

import psutil

from protocol.codec import MalformedMessage, decode
from workers.children.launch import Ground, Launch
from workers.children.readiness import ready_child
from workers.children.registry import make_launch
from workers.engine_program import StatusLines, orders
from workers.engines.base import EngineSpec
from workers.errors import LoadError

_TERM_TIMEOUT_S = 3.0
_LOADING_TIMEOUT_S = 3600.0
_LONGEST_LINE = 4096
_PROGRESS = re.compile(rb"Loading (?:safetensors|pt|GGUF)[^%]*?(\d{1,3})%")
"""As vLLM and SGLang tell it."""


def main() -> int:
    """The process's exit status."""
    if os.getpgrp() != os.getpid():
        # What is left of the group is killed at the end.
        os.setpgid(0, 0)
    try:
        return asyncio.run(run(StatusLines()))
    finally:
        _kill_the_others()


async def run(status: StatusLines) -> int:
    """Start it, and wait until it ends or must. Its exit status; beyond 128 the signal that killed it, as in shells."""
    async with orders() as (line, end):
        try:
            spec = decode(EngineSpec, line)
            ground = Ground(port=_free_port(), api_key=secrets.token_urlsafe(24))
            launch = make_launch(spec, ground)
            process, output = await _start(spec, launch)
        except (LoadError, MalformedMessage) as error:
            status.failed(str(error))
            return 1
        log = asyncio.create_task(_pass_on_log(output, status, ground.api_key), name="log")
        telling = asyncio.create_task(_tell_when_ready(spec, launch, ground, status), name="readiness")
        code = await _until_the_end(process, end)
        telling.cancel()
        # Its last words may still be in the pipe; a process that it left behind may hold that open for ever.
        await asyncio.wait({log}, timeout=1)
        return code if code >= 0 else 128 - code


def _free_port() -> int:
    """Free at this moment. Whoever takes it first, the child then ends, and is started again with another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _start(spec: EngineSpec, launch: Launch) -> tuple[Process, asyncio.StreamReader]:
    """The child, and its output. Raises LoadError."""
    # Not asyncio's own pipe: for a process that left one of its own behind with that, it would wait for ever.
    reading, writing = os.pipe()
    program, *arguments = launch.arguments
    environment = _environment(spec) | launch.environment
    try:
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdin=DEVNULL, stdout=writing, stderr=STDOUT, env=environment
        )
    except OSError as error:
        raise LoadError(f"{program} cannot be started: {error.strerror or error}.") from error
    finally:
        os.close(writing)
    output = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(output)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(reading, "rb"))
    return process, output


def _environment(spec: EngineSpec) -> dict[str, str]:
    """Without our own modules, by path or by folder: a server must not find them in place of its own."""
    inherited = dict(os.environ)
    _, _, others = inherited.pop("PYTHONPATH", "").partition(os.pathsep)
    found = {"PYTHONPATH": others, "PYTHONSAFEPATH": "1" if spec.program else ""}
    return inherited | {name: value for name, value in found.items() if value}


async def _until_the_end(process: Process, end: asyncio.Event) -> int:
    """Wait for the child to end, or end it when told to; its exit status."""
    ended = asyncio.create_task(process.wait())
    told = asyncio.create_task(end.wait())
    await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait({ended}, timeout=_TERM_TIMEOUT_S)
        _kill_the_others()
    told.cancel()
    return await ended


async def _tell_when_ready(spec: EngineSpec, launch: Launch, ground: Ground, status: StatusLines) -> None:
    status.loading(0.0)
    try:
        async with asyncio.timeout(_LOADING_TIMEOUT_S):
            status.ready(*await ready_child(spec, launch, ground))
    except TimeoutError:
        status.failed(f"It was not ready after {_LOADING_TIMEOUT_S / 60:g} minutes.")


async def _pass_on_log(output: asyncio.StreamReader, status: StatusLines, api_key: str) -> None:
    """Line by line; progress bars end theirs with a carriage return. Servers like to log how they were started, which
    `api_key` is a part of."""
    rest, secret = b"", api_key.encode()
    while chunk := await output.read(_LONGEST_LINE):
        *lines, rest = re.split(rb"[\r\n]+", rest[:_LONGEST_LINE] + chunk)
        for line in filter(None, lines):
            _pass_on(line.replace(secret, b"[redacted]"), status)
    _pass_on(rest.replace(secret, b"[redacted]"), status)


def _pass_on(line: bytes, status: StatusLines) -> None:
    if found := _PROGRESS.search(line):
        status.loading(min(1.0, int(found[1]) / 100))
    sys.stderr.buffer.write(line + b"\n")
    sys.stderr.flush()


def _kill_the_others() -> None:
    """Whatever of this process group still runs: servers start processes of their own, and may die before those."""
    group, own = os.getpgrp(), os.getpid()
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if pid != own and os.getpgid(pid) == group:
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
