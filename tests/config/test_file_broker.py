"""The broker of files: a task process never meets half a message."""

import os
import threading
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection
from kombu.exceptions import ChannelError

from config.celery import app
from config.file_broker import Transport

NUM_MESSAGES = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("messages", "control"):
        (tmp_path / name).mkdir()
    return tmp_path / "messages"


@pytest.fixture
def connect(folder: Path):
    options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder.parent / "control"}
    return lambda: Connection(
        transport=Transport, transport_options={name: str(path) for name, path in options.items()}
    )


def test_the_embedded_form_uses_it(settings):
    with app.connection_for_write("filesystem://", transport=settings.CELERY_BROKER_TRANSPORT) as connection:
        assert isinstance(connection.transport, Transport)


def test_every_message_is_read_whole_while_others_are_written(connect):
    def write() -> None:
        with connect() as connection:
            queue = connection.SimpleQueue("tasks")
            for number in range(NUM_MESSAGES):
                queue.put({"number": number, "padding": "x" * 10_000})

    writer = threading.Thread(target=write)
    writer.start()
    with connect() as connection:
        queue = connection.SimpleQueue("tasks")
        numbers = [read(queue) for _ in range(NUM_MESSAGES)]
    writer.join()
    assert sorted(numbers) == list(range(NUM_MESSAGES))


def read(queue) -> int:
    message = queue.get(timeout=60)
    message.ack()
    return message.payload["number"]


def test_what_is_half_written_is_left_alone(connect, folder, monkeypatch):
    seen: list[Path] = []

    def look_in_between(path: str, target: str) -> None:
        seen.extend(folder.iterdir())
        with connect() as other, pytest.raises(Empty):
            other.channel()._get("half")
        os.replace(path, target)

    monkeypatch.setattr(Path, "rename", look_in_between)
    with connect() as connection:
        queue = connection.SimpleQueue("half")
        queue.put({"number": 7})
        assert (read(queue), len(seen)) == (7, 1)


def test_a_message_that_cannot_be_written_is_an_error_that_says_where(connect, folder):
    with connect() as connection:
        queue = connection.SimpleQueue("never")
        folder.rmdir()
        with pytest.raises(ChannelError, match=str(folder)):
            queue.put({"number": 7})
