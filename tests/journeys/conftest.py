"""A whole installation for a journey: the web process and worker daemons as processes of their own, on the test's
database. Journeys use `web` (pytest-django keeps the name live_server for itself), `start_worker`, `deploy` and
`wait_ready`, and `wait_until` from tests.journeys.waiting."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.request import urlopen

import psutil
import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from playwright.sync_api import Browser, Page, expect

from fleet.enrolment import issue_join_token
from fleet.models import Deployment, LanguageModel, Replica
from fleet.reconciler import reconcile
from gateway.issuing import issue_key
from tests.journeys.browsing import chromium, open_page
from tests.journeys.waiting import PATIENCE_S, wait_until
from tests.ports import reserved_port

ROOT = Path(__file__).parent.parent.parent


def database_url() -> str:
    """The test database, for a process that reads its settings from the environment."""
    database = settings.DATABASES["default"]
    if settings.IS_EMBEDDED:
        return f"sqlite:///{database['NAME']}"
    login = f"{database['USER']}:{database['PASSWORD']}".rstrip(":")
    return f"postgres://{login}@{database['HOST']}:{database['PORT'] or 5432}/{database['NAME']}"


class Part:
    """A process that writes to a log file and is ended with the test, whatever happens."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{name}.log"
        self.prefix: list[str] = []
        """What runs the program, such as `ip netns exec`."""
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self, command: list[str], env: dict[str, str]) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, *command], cwd=ROOT, env=os.environ | env, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def terminate(self) -> int:
        """SIGTERM, and the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """SIGKILL: the power goes out."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE_S)


class LiveServer(Part):
    """uvicorn with the whole application. `var_dir` holds its journal; it survives `kill` and `start`, and so does the
    address, up to the end of the `with` block that this is for."""

    def __init__(self, folder: Path, *, heartbeat_interval_s: float = 2, host: str = "127.0.0.1") -> None:
        super().__init__(folder, "web")
        self.var_dir, self.host = folder / "var", host
        self.heartbeat_interval_s = heartbeat_interval_s
        self._end = ExitStack()
        self.port = self._end.enter_context(reserved_port())
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._end.close()

    def start(self) -> None:
        command = ["-m", "uvicorn", "config.asgi:application", "--host", self.host, "--port", str(self.port)]
        self.launch([*command, "--no-access-log", "--timeout-graceful-shutdown", "3"], self.environment)
        wait_until(self._answers, what="the web process answers", log=self.log)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": database_url(),
            "VAR_DIR": str(self.var_dir),
            "SECRET_KEY": settings.SECRET_KEY,
            "ENCRYPTION_KEY": settings.ENCRYPTION_KEY,
            "HEARTBEAT_INTERVAL_S": str(self.heartbeat_interval_s),
        }

    def _answers(self) -> bool:
        assert self.is_running, f"The web process ended:\n{self.log.read_text()}"
        try:
            with urlopen(self.url + "/i18n/setlang/", timeout=PATIENCE_S):
                return True
        except OSError as error:
            return hasattr(error, "code")


class WorkerProcess(Part):
    """A worker daemon. Started again with the same `state_dir`, it is the same worker."""

    def __init__(self, state_dir: Path, name: str) -> None:
        super().__init__(state_dir.parent, name)
        self.state_dir, self.name = state_dir, name

    def start(self, server_url: str, join_token: str, *flags: str) -> None:
        command = ["-m", "workers", "--server", server_url, "--name", self.name, "--state-dir", str(self.state_dir)]
        self.launch([*command, "--listen", "127.0.0.1:0", *flags], {"FLOTILLA_JOIN_TOKEN": join_token})


@pytest.fixture
def web(transactional_db: None, tmp_path: Path) -> Iterator[LiveServer]:
    """The web process, up and answering at `.url`."""
    with LiveServer(tmp_path / "web") as server:
        server.start()
        yield server


@pytest.fixture
def join_token(transactional_db: None) -> str:
    _, text = issue_join_token("journey", lifetime=timedelta(hours=1), max_uses=None, created_by=None)
    return text


StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker(web: LiveServer, join_token: str, tmp_path: Path) -> Iterator[StartWorker]:
    """`start_worker("name", *flags)` starts a daemon on `web`; all are ended after the test."""
    started: list[WorkerProcess] = []

    def start(name: str = "worker-1", *flags: str, token: str = join_token) -> WorkerProcess:
        worker = WorkerProcess(tmp_path / name / "state", name)
        started.append(worker)
        worker.start(web.url, token, *flags)
        return worker

    yield start
    for worker in started:
        # Its engines see the end of their stdin.
        worker.kill()


Deploy = Callable[..., Deployment]


@pytest.fixture
def deploy(transactional_db: None) -> Deploy:
    """`deploy("name", source="delay=0.05")` makes a model with an echo deployment and places it."""

    def make(name: str = "echo", **fields: object) -> Deployment:
        model, _ = LanguageModel.objects.get_or_create(name=name)
        deployment = Deployment.objects.create(model=model, **({"engine": "echo"} | fields))
        reconcile()
        return deployment

    return make


@pytest.fixture
def wait_ready() -> Callable[..., Replica]:
    """`wait_ready(deployment)` waits until one of its replicas is ready, and gives it."""

    def wait(deployment: Deployment) -> Replica:
        ready = deployment.replicas.desired().filter(phase="ready")
        replica = wait_until(ready.first, what=f"{deployment} is ready")
        assert replica is not None
        return replica

    return wait


@pytest.fixture
def key(transactional_db: None) -> str:
    """An API key."""
    _, text = issue_key(get_user_model().objects.create_user("ada"), "load", expires_at=None)
    return text


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console said: errors, and breaches of the content policy."""
    return []


@pytest.fixture
def page(browser: Browser, web: LiveServer, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context(base_url=web.url, locale="en-US")
    context.set_default_timeout(PATIENCE_S * 1000)
    expect.set_options(timeout=PATIENCE_S * 1000)
    yield open_page(context, complaints)
    context.close()
