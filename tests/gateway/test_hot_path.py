"""On the way of a request there is neither a database query nor a hop to a thread."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import asgiref.sync
import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from gateway.models import ContentPolicy
from tests.gateway.conftest import HELLO

GATEWAY_THREADS = ("gateway-snapshot", "gateway-journal", "MainThread")


@pytest.fixture
def forbidden(gateway, monkeypatch) -> list[str]:
    """What was done that must not be done, by any thread but those that are there for it."""
    done: list[str] = []

    def forbid(owner, name: str) -> None:
        original = getattr(owner, name)

        def spy(self, *args, **kwargs):
            if threading.current_thread().name not in GATEWAY_THREADS:
                done.append(f"{owner.__name__}.{name}")
            return original(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, spy)

    forbid(BaseDatabaseWrapper, "cursor")
    forbid(BaseDatabaseWrapper, "ensure_connection")
    forbid(ThreadPoolExecutor, "submit")
    forbid(asyncio.BaseEventLoop, "run_in_executor")
    forbid(asgiref.sync.SyncToAsync, "__call__")
    return done


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_request_needs_no_query_and_no_thread(client, forbidden, stream):
    answer = client.chat.completions.create(model="fake-1", messages=HELLO, stream=stream)
    if stream:
        list(answer)
    assert forbidden == []


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_nor_does_one_under_a_content_policy(gateway, client, forbidden, stream):
    ContentPolicy.objects.create(name="house rules", words="gunpowder")
    gateway.refresh()
    forbidden.clear()
    test_a_request_needs_no_query_and_no_thread(client, forbidden, stream)


def test_nor_does_a_refused_one(client, forbidden):
    with pytest.raises(Exception, match="temperature"):
        client.chat.completions.create(model="fake-1", messages=HELLO, temperature=9)
    assert forbidden == []
