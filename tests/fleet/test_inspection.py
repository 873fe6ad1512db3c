"""What a worker's page asks of the worker while somebody looks: the end of its log, the models on its disk."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from config.asgi import websockets
from fleet.errors import WorkerNotReached
from fleet.inspection import read_log
from fleet.live import FORBIDDEN
from fleet.models import Worker
from protocol.inspection import MAX_LOG_LINES
from protocol.tokens import TokenKind, make_token

pytestmark = pytest.mark.django_db(transaction=True)

LISTING = {
    "models": [
        {"source": "org/idle", "num_bytes": 2**31, "is_downloaded": True, "is_in_use": False},
        {"source": "org/used", "num_bytes": 2**30, "is_downloaded": True, "is_in_use": True},
    ],
    "disk_free_bytes": 2**40,
    "disk_total_bytes": 2**41,
}


class Daemon:
    """Answers every question with `status` and `body`; `asked` is what it was asked, and with which secret."""

    status, body = 200, b"{}"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        daemon = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                daemon.asked.append((self.command, self.path, self.headers["Authorization"]))
                self.send_response(daemon.status)
                self.end_headers()
                self.wfile.write(daemon.body)

            do_DELETE = do_GET

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def tells(self, message: Any, status: int = 200) -> None:
        self.status, self.body = status, json.dumps(message).encode()


@pytest.fixture(autouse=True)
def _patience(monkeypatch) -> None:
    """A busy machine is no worker that cannot be reached."""
    monkeypatch.setattr("fleet.inspection._LOG_TIMEOUT_S", 30.0)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    daemon = Daemon()
    thread = threading.Thread(target=daemon.server.serve_forever, args=[0.01])
    thread.start()
    yield daemon
    daemon.server.shutdown()
    thread.join()
    daemon.server.server_close()


@pytest.fixture
def worker(make_worker, daemon) -> Worker:
    return make_worker("box-1", address=daemon.url)


async def shown(user: Any, worker: Worker, kind: str, language: str = "en") -> dict[str, Any] | int:
    """What the open page is sent first: fragments, or the code that it is turned away with."""
    client = Client()
    await sync_to_async(client.force_login)(user)
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    headers = [(b"host", b"testserver"), (b"origin", b"http://testserver"), (b"cookie", cookie.encode())]
    page = WebsocketCommunicator(websockets, f"/ws/fleet/worker/{worker.pk}/{kind}/?language={language}", headers)
    await page.connect(timeout=20)
    first = await page.receive_output(timeout=20)
    await page.disconnect(timeout=20)
    return json.loads(first["text"])["fragments"] if first["type"] == "websocket.send" else first["code"]


async def test_the_end_of_the_log_is_shown_and_cannot_be_markup(admin_user, worker, daemon):
    daemon.tells({"lines": ["Loading parrot ...", "<script>alert(1)</script>"]})
    html = (await shown(admin_user, worker, "log"))[f"log:{worker.pk}"]
    assert "Loading parrot ..." in html
    assert "&lt;script&gt;" in html
    assert daemon.asked[0] == ("GET", "/log", "Bearer secret")


async def test_a_secret_that_an_older_worker_lets_through_is_not_shown(worker, daemon):
    token = make_token(TokenKind.WORKER_CREDENTIAL)
    daemon.tells({"lines": [f"started with {token}"]})
    assert await read_log(worker) == ("started with [redacted]",)


@pytest.mark.parametrize(
    ("message", "status", "reason"),
    [
        ({"lines": ["x"] * (MAX_LOG_LINES + 1)}, 200, "lines"),
        ({"lines": "x" * 2**20}, 200, "more than a worker ever would"),
        ("nonsense", 500, "status 500"),
        ({"error": {"code": "bad_request", "message": "Not Found"}}, 404, "its program is older"),
        ({"error": {"code": "invalid_gateway_secret", "message": "Its gateway only."}}, 401, "Its gateway only."),
    ],
)
async def test_what_a_worker_answers_badly_is_said_in_words(worker, daemon, message, status, reason):
    daemon.tells(message, status)
    with pytest.raises(WorkerNotReached, match=reason):
        await read_log(worker)


async def test_a_worker_that_cannot_be_reached_is_said_to_be_so(admin_user, make_worker):
    worker = await sync_to_async(make_worker)(address="http://127.0.0.1:9")
    html = (await shown(admin_user, worker, "log"))[f"log:{worker.pk}"]
    assert "the connection is refused: nothing listens there" in html


async def test_models_on_disk_are_shown_with_who_wants_them(admin_user, worker, daemon, make_deployment):
    await sync_to_async(make_deployment)("parrot", source="org/idle")
    daemon.tells(LISTING)
    html = (await shown(admin_user, worker, "store", language="zh-hans"))[f"store:{worker.pk}"]
    assert "parrot" in html
    assert "可用" in html
    assert "source=org%2Fidle" in html
    assert "source=org%2Fused" not in html


@pytest.mark.parametrize(("permission", "expected"), [("view_worker", dict), ("view_deployment", int)])
async def test_only_who_may_see_workers_reads_their_logs(django_user_model, worker, daemon, permission, expected):
    daemon.tells({"lines": ["secret plans"]})
    person = await django_user_model.objects.acreate(username="maria", is_staff=True)
    await person.user_permissions.aadd(await Permission.objects.aget(codename=permission))
    answer = await shown(person, worker, "log")
    assert isinstance(answer, expected)
    assert expected is dict or answer == FORBIDDEN


CONFIRMED = {"_form_submitted": "on", "is_meant": "on"}


def delete(client: Client, worker: Worker, data: dict[str, str]) -> None:
    client.post(f"/admin/fleet/worker/{worker.pk}/delete_model/?source=org/idle", data)


def test_a_model_is_deleted_from_a_worker_s_disk(admin_client: Client, worker, daemon):
    daemon.status, daemon.body = 204, b""
    delete(admin_client, worker, CONFIRMED)
    assert daemon.asked == [("DELETE", "/store?source=org/idle", "Bearer secret")]
    assert LogEntry.objects.get().get_change_message() == "org/idle was deleted from its disk."


def test_nothing_is_deleted_that_was_not_confirmed(admin_client: Client, worker, daemon):
    delete(admin_client, worker, {"_form_submitted": "on"})
    assert daemon.asked == []


def test_a_worker_that_refuses_says_why(admin_client: Client, worker, daemon):
    daemon.tells({"error": {"code": "model_in_use", "message": "Stop its replica first."}}, 409)
    delete(admin_client, worker, CONFIRMED)
    page = admin_client.get(f"/admin/fleet/worker/{worker.pk}/change/").content.decode()
    assert "Stop its replica first." in page
    assert not LogEntry.objects.exists()
