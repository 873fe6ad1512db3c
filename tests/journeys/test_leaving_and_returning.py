"""What happens to a worker, and to its requests, when either side goes away: with real processes."""

import json
import signal
import threading
from contextlib import suppress

import pytest
import requests

from fleet.models import Worker
from tests.journeys.load import failures, steady_load
from tests.journeys.waiting import PATIENCE_S, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

TWENTY_WORDS = " ".join(f"word{number}" for number in range(20))
ENDLESS = "delay=1,repeat=1000"
"""An answer that is not over before somebody ends it, however late the test looks."""


class Stream(threading.Thread):
    """One streamed chat, straight at the worker's door, read to its end in a thread."""

    def __init__(self, replica) -> None:
        super().__init__()
        # Read here: a thread that asks the database keeps a connection that nobody closes.
        self.headers = {
            "Authorization": f"Bearer {replica.worker.gateway_secret}",
            "X-Flotilla-Replica": str(replica.pk),
        }
        self.url = f"{replica.worker.address}/v1/chat/completions"
        self.body = b""
        self.has_begun = threading.Event()

    def run(self) -> None:
        body = {"model": "echo", "messages": [{"role": "user", "content": TWENTY_WORDS}], "stream": True}
        with (
            suppress(requests.exceptions.ChunkedEncodingError),
            requests.post(self.url, json=body, headers=self.headers, stream=True, timeout=PATIENCE_S) as answer,
        ):
            for line in answer.iter_lines(chunk_size=1):
                self.body += line + b"\n"
                self.has_begun.set()


@pytest.fixture
def run_replica(start_worker, deploy, wait_ready):
    """`run_replica("delay=1", *flags)`: of such an echo, ready; `.process` is its worker's."""

    def run(source: str, *flags: str):
        deployment = deploy("echo", source=source)
        worker = start_worker("worker-1", *flags)
        ready = wait_ready(deployment)
        ready.process = worker
        return ready

    return run


@pytest.fixture
def replica(run_replica):
    """Of an echo whose answers take six seconds."""
    return run_replica("delay=0.3")


def begin_stream(replica) -> Stream:
    stream = Stream(replica)
    stream.start()
    assert stream.has_begun.wait(PATIENCE_S)
    return stream


def test_a_worker_that_is_told_to_stop_finishes_its_answers_first(replica):
    stream = begin_stream(replica)
    assert replica.process.terminate() == 0
    stream.join()
    assert b"word19" in stream.body
    assert stream.body.strip().endswith(b"data: [DONE]")


def test_a_worker_that_is_told_to_stop_says_so_at_once(run_replica):
    replica = run_replica(ENDLESS)
    stream = begin_stream(replica)
    replica.process.process.send_signal(signal.SIGTERM)
    draining = Worker.objects.filter(is_draining=True)
    wait_until(draining.exists, what="the worker says that it drains", log=replica.process.log)
    assert stream.is_alive()
    replica.process.kill()
    stream.join()


@pytest.fixture
def _patience(monkeypatch):
    """Of the web process, for a worker that is started again on a busy machine."""
    monkeypatch.setenv("RETURN_WITHIN_S", "60")


@pytest.mark.usefixtures("_patience")
def test_while_the_only_worker_is_started_again_requests_wait(web, start_worker, join_token, deploy, wait_ready, key):
    worker = start_worker()
    wait_ready(deploy("echo", source="delay=0.02"))
    with steady_load(web, key) as callers:
        assert worker.terminate() == 0
        worker.start(web.url, join_token)
        assert all(caller.is_answered_again() for caller in callers)
    assert failures(callers) == []


def test_a_second_signal_ends_it_at_once(run_replica):
    replica = run_replica(ENDLESS)
    stream = begin_stream(replica)
    replica.process.process.send_signal(signal.SIGTERM)
    wait_until(Worker.objects.filter(is_draining=True).exists, what="draining has begun")
    replica.process.process.send_signal(signal.SIGTERM)
    assert replica.process.process.wait(PATIENCE_S) == 1
    stream.join()
    assert b"[DONE]" not in stream.body


def test_a_drain_ends_after_its_time_with_an_error_event(run_replica):
    replica = run_replica(ENDLESS, "--drain-timeout", "1")
    stream = begin_stream(replica)
    assert replica.process.terminate() == 0
    stream.join()
    *_, error, done = filter(None, stream.body.split(b"\n"))
    assert "error" in json.loads(error.removeprefix(b"data: "))
    assert done == b"data: [DONE]"


def test_a_worker_waits_for_its_server(web, start_worker):
    web.kill()
    worker = start_worker()
    wait_until(lambda: "cannot be reached" in worker.log.read_text(), what="the worker has tried")
    web.start()
    wait_until(Worker.objects.exists, what="the worker has joined", log=worker.log)
    assert worker.is_running


def test_a_server_that_restarts_finds_everything_as_it_was(web, replica):
    web.kill()
    engines = [engine.pid for engine in replica.process.children()]
    web.start()
    heard_at = Worker.objects.get().last_heartbeat_at
    later = Worker.objects.filter(last_heartbeat_at__gt=heard_at)
    wait_until(later.exists, what="the worker beats again", log=replica.process.log)
    assert [engine.pid for engine in replica.process.children()] == engines


def test_a_worker_that_the_server_forgot_joins_again_with_its_token(start_worker):
    worker = start_worker()
    first = wait_until(Worker.objects.first, what="the worker has joined", log=worker.log)
    first.delete()
    again = wait_until(Worker.objects.first, what="the worker has joined again", log=worker.log)
    assert again.pk != first.pk


def test_a_port_that_is_taken_gives_one_clear_line(web, start_worker):
    worker = start_worker("worker-1", "--listen", f"127.0.0.1:{web.port}")
    assert worker.process.wait(PATIENCE_S) == 1
    (line,) = worker.log.read_text().splitlines()
    assert str(web.port) in line
    assert "--listen" in line


def test_two_daemons_on_one_folder_are_not_let_in(start_worker):
    start_worker()
    wait_until(Worker.objects.exists, what="the first has joined")
    second = start_worker()
    assert second.process.wait(PATIENCE_S) == 1
    # The first goes on writing to the same log.
    assert "--state-dir" in second.log.read_text()
