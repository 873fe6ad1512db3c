"""What is needed to break things: an installation with its task processes and the default heartbeat, a stopwatch for
the table in docs/faults.md (bench/faults.py draws it), a relay in the worker's way, a machine of its own."""

import importlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from fleet.models import Replica, Worker
from tests.journeys.conftest import LiveServer, Part, WorkerProcess
from tests.journeys.waiting import wait_until
from tests.ports import reserved_port

HEARTBEAT_INTERVAL_S = 5
CHUNK = 64 * 1024


@pytest.fixture
def web(transactional_db: None, tmp_path: Path) -> Iterator[LiveServer]:
    with LiveServer(tmp_path / "web", heartbeat_interval_s=HEARTBEAT_INTERVAL_S, host="0.0.0.0") as server:
        server.start()
        yield server


@pytest.fixture
def tasks(web: LiveServer, tmp_path: Path) -> Iterator[Part]:
    """The task process, with the schedule as the migrations make it: the test database was emptied since."""
    for migration in ("0002_schedule", "0006_schedule_probes"):
        importlib.import_module(f"fleet.migrations.{migration}").schedule(apps, None)
    part = Part(tmp_path, "tasks")
    command = ["-m", "celery", "-A", "config", "worker", "--beat", "--pool", "solo", "--loglevel", "WARNING"]
    part.launch(command, web.environment)
    yield part
    # Beat is a child of its own, and would outlive its parent's sudden death.
    beat = part.children()
    part.kill()
    for child in beat:
        child.kill()


@pytest.fixture
def clocked(record_property: Callable[[str, object], None]) -> Callable[..., Any]:
    """`clocked("right state", condition)` waits for it, and keeps how long that took since `clocked.start()`."""
    return Stopwatch(record_property)


class Stopwatch:
    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record
        self.start()

    def start(self) -> None:
        self._started_at = time.monotonic()

    def __call__(self, name: str, condition: Callable[[], Any], log: Path | None = None) -> Any:
        result = wait_until(condition, what=name, log=log)
        self._record(name, round(time.monotonic() - self._started_at, 1))
        return result


def state(name: str = "worker-1") -> str:
    return Worker.objects.get(name=name).state.value


def phase(name: str = "worker-1") -> str:
    return Replica.objects.desired().get(worker__name=name).phase


def is_serving(name: str = "worker-1") -> bool:
    return (state(name), phase(name)) == ("alive", "ready")


@pytest.fixture
def worker(tasks: Part, start_worker: Any, deploy: Any, wait_ready: Any) -> WorkerProcess:
    """A worker that serves a model, and was found reachable."""
    deployment = deploy("echo")
    process = start_worker()
    wait_ready(deployment)
    return probed(process)


def probed(process: WorkerProcess) -> WorkerProcess:
    wait_until(Worker.objects.filter(probed_at__isnull=False).exists, what="the worker is called", log=process.log)
    wait_until(is_serving, what="the worker serves", log=process.log)
    return process


class Relay:
    """A port that leads to another one, as a router would; it can be closed, and opened again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.target = 0
        self._listener: socket.socket | None = None

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        if self._listener:
            # close() alone leaves the port open for as long as accept() waits.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self.target)) as server:
            threading.Thread(target=_pump, args=(server, client), daemon=True).start()
            _pump(client, server)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def relay() -> Iterator[Relay]:
    with reserved_port() as port:
        relay = Relay(port)
        relay.open()
        yield relay
        relay.close()


class Machine:
    """A network namespace: a host of its own, on a cable that can be pulled."""

    def __init__(self, number: int) -> None:
        self.name, self.cable = f"flotilla{os.getpid()}", f"flt{os.getpid()}"
        self.server_ip, self.ip = f"10.213.{number}.1", f"10.213.{number}.2"

    def boot(self) -> None:
        ip("netns", "add", self.name)
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("addr", "add", f"{self.server_ip}/24", "dev", self.cable)
        ip("link", "set", self.cable, "up")
        for command in (f"addr add {self.ip}/24 dev eth0", "link set eth0 up", "link set lo up"):
            self.run(command)

    def run(self, command: str) -> None:
        ip("-n", self.name, *command.split())

    def pull_cable(self) -> None:
        self.run("link set eth0 down")

    def plug_in(self) -> None:
        self.run("link set eth0 up")

    def scrap(self) -> None:
        ip("netns", "del", self.name)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine(os.getpid() % 250)
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    with ExitStack() as stack:
        try:
            machine.boot()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces are not permitted here: {error.stderr.decode().strip()}")
        stack.callback(machine.scrap)
        yield machine


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that holds 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid():
        pytest.skip("only root may mount")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
