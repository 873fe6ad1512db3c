"""A gateway that serves, replicas that answer, a key to call with."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
import openai
import pytest
import time_machine
import uvicorn
from django.contrib.auth import get_user_model
from django.utils.timezone import localtime, now

from fleet.models import Deployment, EngineName, LanguageModel, Replica, Worker
from gateway import runtime
from gateway.asgi import application
from gateway.issuing import issue_key
from gateway.models import UsageRecord
from protocol.control import ReplicaPhase
from tests.gateway.fake_replica import SECRET, FakeReplica

CAPABILITIES = ["chat", "completions", "embeddings", "tokenize", "tools"]
HELLO = [{"role": "user", "content": "Hello"}]


class LiveGateway:
    """The gateway on a real socket, in a thread with an event loop of its own."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        config = uvicorn.Config(application, lifespan="off", log_config=None, ws="none", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        wait_until(lambda: self._server.started)

    def refresh(self) -> None:
        """Make the gateway see the database as it is now."""
        runtime.current().poller.refresh()

    def close(self) -> None:
        """May be called twice."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    async def _serve(self) -> None:
        await runtime.ready()
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            await runtime.stop()


def wait_until(condition: Callable[[], object], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def post(gateway: LiveGateway, key: str, path: str, body: Any, **headers: str) -> httpx2.Response:
    """A request as no well-behaved client would send it."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
    content = json.dumps(body) if isinstance(body, dict) else body
    return httpx2.post(gateway.url + path, content=content, headers=headers, timeout=30)


def the_record() -> UsageRecord:
    """The one usage record there is, once it has reached the database."""
    wait_until(UsageRecord.objects.exists)
    runtime.current().journal.write_up()
    return UsageRecord.objects.get()


def add_replica(url: str, *, model: str = "fake-1", **fields) -> Replica:
    """A ready replica at that address, on a worker of its own. No fake calls: this one counts as heard for as long as
    its test may take."""
    worker = Worker.objects.create(
        name=f"box {Worker.objects.count()}",
        address=url,
        pinned_ip="127.0.0.1",
        credential_hash=f"{Worker.objects.count():064}",
        gateway_secret=SECRET,
        last_heartbeat_at=now() + timedelta(minutes=10),
    )
    entry, _ = LanguageModel.objects.get_or_create(name=model)
    deployment, _ = Deployment.objects.get_or_create(model=entry, engine=EngineName.ECHO)
    values = {
        "slot": Replica.objects.count(),
        "spec": deployment.spec,
        "phase": ReplicaPhase.READY,
        "capabilities": CAPABILITIES,
        "context_length": 4096,
        "observed_at": now(),
    } | fields
    return Replica.objects.create(deployment=deployment, worker=worker, **values)


def give_places(num: int) -> None:
    """Each replica answers so many requests at a time."""
    Deployment.objects.update(max_concurrency=num)
    for deployment in Deployment.objects.all():
        deployment.replicas.update(spec=deployment.spec)


def add_adapter(name: str) -> None:
    """All replicas that there are have it."""
    for replica in Replica.objects.select_related("deployment"):
        replica.deployment.adapters[name] = replica.adapters[name] = ""
        replica.deployment.save()
        replica.save()


@pytest.fixture(autouse=True)
def _allowances_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that run beside this one may have the same Redis, and keys with the same ids."""
    monkeypatch.setattr("gateway.allowances._PREFIX", f"flotilla:allowance:{uuid4().hex}:")


@pytest.fixture(autouse=True)
def _not_over_midnight() -> Iterator[None]:
    """Budgets begin anew with the day, and reports with another one: a test has to end on the day that it began."""
    begun, later = localtime(), localtime() + timedelta(minutes=5)
    with nullcontext() if begun.date() == later.date() else time_machine.travel(later):
        yield


@pytest.fixture
def fake() -> Iterator[FakeReplica]:
    replica = FakeReplica()
    yield replica
    replica.close()


@pytest.fixture
def replica(transactional_db: None, fake: FakeReplica) -> Replica:
    return add_replica(fake.url)


@pytest.fixture
def user(transactional_db: None):
    return get_user_model().objects.create_user("ada")


@pytest.fixture
def key(user) -> str:
    return issue_key(user, "laptop")[1]


@pytest.fixture
def other_key(transactional_db: None) -> str:
    return issue_key(get_user_model().objects.create_user("grace"), "laptop")[1]


@pytest.fixture
def gateway(patience: None, settings, tmp_path, key: str, replica: Replica) -> Iterator[LiveGateway]:
    """One model, "fake-1", with one replica."""
    settings.JOURNAL_DIR = tmp_path / "journal"
    settings.RETURN_WITHIN = timedelta(seconds=1)
    live = LiveGateway()
    yield live
    live.close()


@pytest.fixture
def client(gateway: LiveGateway, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.url, api_key=key, max_retries=0, timeout=30) as client:
        yield client
