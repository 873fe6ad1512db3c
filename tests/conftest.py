import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection, connections
from django.utils import translation

Flush = Callable[..., list[str]]

_number = count()


def pytest_addoption(parser: pytest.Parser) -> None:
    help_text = "only the tests that another database, channel layer or cache could change"
    parser.addoption("--on-servers", action="store_true", help=help_text)


def pytest_xdist_auto_num_workers() -> int:
    """A journey waits for other processes most of its time."""
    return (os.cpu_count() or 1) * 2


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--on-servers"):
        left_out = [test for test in items if test.get_closest_marker("once") or not asks_for_the_database(test)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [test for test in items if test not in left_out]


def asks_for_the_database(test: pytest.Item) -> bool:
    """No other test can reach a server: pytest-django keeps the database from them, `_no_servers` the rest."""
    return bool({"db", "transactional_db"} & set(test.fixturenames) or test.get_closest_marker("django_db"))


@pytest.fixture(autouse=True, scope="session")
def _cheap_passwords() -> None:
    """A password costs half a second to hash, on purpose. Web processes that a test starts can check these too."""
    PBKDF2PasswordHasher.iterations = 1


@pytest.fixture(autouse=True)
def _no_servers(request: pytest.FixtureRequest, settings: Any) -> None:
    if not asks_for_the_database(request.node):
        settings.CHANNEL_LAYERS, settings.CACHES = {}, {}
        return
    # A cache is no part of the database: what one test counts there, the next one would find, in any process.
    cache = settings.CACHES["default"] | {"KEY_PREFIX": f"test-{os.getpid()}-{next(_number)}"}
    settings.CACHES = {"default": cache}


@pytest.fixture(autouse=True)
def _default_language() -> None:
    """The language in which another test read a page stays with the thread."""
    translation.deactivate()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """A busy machine may keep a worker, or those who ask it, from saying anything for seconds."""
    monkeypatch.setattr("gateway.upstream.QUICK_S", 30.0)
    settings.UPSTREAM_CONNECT_TIMEOUT = timedelta(seconds=30)
    settings.SILENT_AFTER = timedelta(minutes=10)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """The test database can go only when nobody is connected; async tests leave a connection in asgiref's thread."""
    connection.ops.sql_flush = _keeping_the_schedule(
        _deletion if connection.vendor == "postgresql" else connection.ops.sql_flush
    )
    yield
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


def _keeping_the_schedule(flush: Flush) -> Flush:
    """The migrations wrote it, once: tests that come after a flush would find none."""

    def flush_all_else(style: object, tables: list[str], **options: Any) -> list[str]:
        return flush(style, [table for table in tables if not table.startswith("django_celery_beat_")], **options)

    return flush_all_else


def _deletion(style: object, tables: list[str], **options: object) -> list[str]:
    """To truncate our tables takes PostgreSQL a second; to delete the few rows of a test, milliseconds. In any order:
    foreign keys are looked at when the transaction ends."""
    return ["; ".join(f"DELETE FROM {connection.ops.quote_name(table)}" for table in tables)]
