"""What the ASGI application answers before anything else: pages of other sites, and probes."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError

from config import probes
from config.asgi import application
from gateway import runtime

SITE = b"https://tool.example"


async def ask(path: str, method: str = "GET", **headers: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value) for name, value in headers.items()],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.fixture(autouse=True)
async def running(transactional_db: None, settings, tmp_path) -> Iterator[None]:
    settings.JOURNAL_DIR = tmp_path
    await runtime.ready()
    yield
    await runtime.stop()


async def test_by_default_no_page_of_another_site_may_call():
    status, headers, _ = await ask("/v1/models", "OPTIONS", origin=SITE, access_control_request_method=b"POST")
    assert (status, "access-control-allow-origin" in headers) == (401, False)


async def test_a_page_of_a_named_site_may(settings):
    settings.CORS_ALLOWED_ORIGINS = [SITE.decode()]
    status, headers, _ = await ask("/v1/models", "OPTIONS", origin=SITE, access_control_request_method=b"POST")
    assert (status, headers["access-control-allow-origin"]) == (204, SITE.decode())
    assert "authorization" in headers["access-control-allow-headers"]


async def test_its_errors_can_be_read_by_it_as_well(settings):
    settings.CORS_ALLOWED_ORIGINS = [SITE.decode()]
    status, headers, body = await ask("/v1/models", origin=SITE)
    assert (status, headers["access-control-allow-origin"]) == (401, SITE.decode())
    assert b"invalid_api_key" in body


@pytest.mark.parametrize("origin", [b"https://evil.example", b"https://tool.example.evil.example", b"null"])
async def test_a_page_of_any_other_site_may_not(settings, origin):
    settings.CORS_ALLOWED_ORIGINS = [SITE.decode()]
    _, headers, _ = await ask("/v1/models", origin=origin)
    assert "access-control-allow-origin" not in headers


async def test_the_pages_for_people_are_never_opened_to_other_sites(settings):
    settings.CORS_ALLOWED_ORIGINS = ["*"]
    _, headers, _ = await ask("/health", origin=SITE)
    assert "access-control-allow-origin" not in headers


async def test_a_process_that_lives_says_so_without_asking_anybody(monkeypatch):
    monkeypatch.setattr(probes, "_answers", None)
    assert (await ask("/health"))[0] == 200


async def test_a_process_that_can_serve_is_ready(monkeypatch):
    # To look at the migrations takes a busy machine longer than those who probe would wait.
    monkeypatch.setattr(probes, "_TIMEOUT_S", 30.0)
    status, _, body = await ask("/ready")
    assert (status, body) == (200, b'{"status": "ok", "database": true, "migrations": true, "snapshot": true}')


async def test_a_process_whose_database_is_away_is_not_ready_and_says_why(monkeypatch, settings):
    def away(**_: Any) -> bool:
        raise OperationalError

    monkeypatch.setattr(probes, "_answers", away)
    status, _, body = await ask("/ready")
    assert (status, b'"database": false' in body) == (503, True)


async def test_a_process_whose_tables_are_old_is_not_ready(monkeypatch):
    monkeypatch.setattr(probes, "_answers", lambda **_: False)
    monkeypatch.setattr("config.asgi.probe", probes.Probes())
    status, _, body = await ask("/ready")
    assert (status, b'"migrations": false' in body) == (503, True)


async def test_a_probe_only_reads():
    assert (await ask("/ready", "POST"))[0] == 405
