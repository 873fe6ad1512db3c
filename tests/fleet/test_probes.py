"""Workers are called at their addresses: only that shows that requests can reach them."""

import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.timezone import now

from fleet.attention import findings
from fleet.heartbeats import record_heartbeat
from fleet.models import Transition, Worker, WorkerState
from fleet.overview import read_overview
from fleet.probes import probe_workers
from fleet.reconciler import reconcile
from fleet.snapshot import read_fleet_snapshot
from tests.certificates import make_certificate
from tests.fleet.conftest import heartbeat


@pytest.fixture(autouse=True)
def _patience(monkeypatch) -> None:
    """A busy machine is no worker that cannot be reached."""
    monkeypatch.setattr("fleet.probes._TIMEOUT_S", 30.0)


@contextmanager
def listening(
    status: int = 200, context: ssl.SSLContext | None = None, **headers: str
) -> Iterator[tuple[str, list[str]]]:
    """Somebody who answers so, and the Authorization that each request carried."""
    shown: list[str] = []

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers["Authorization"])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Door) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}", shown
        server.shutdown()
        thread.join()


def probed(worker: Worker) -> tuple[WorkerState, str]:
    probe_workers()
    worker.refresh_from_db()
    return worker.state, worker.probe_failure


def test_a_worker_that_answers_is_alive(make_worker):
    with listening() as (url, shown):
        assert probed(make_worker(address=url)) == ("alive", "")
    assert shown == ["Bearer secret"]


def test_a_worker_where_nothing_listens(make_worker):
    assert probed(make_worker(address="http://127.0.0.1:9")) == ("unreachable", "refused")


def test_a_worker_that_hangs(make_worker, monkeypatch):
    monkeypatch.setattr("fleet.probes._TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as hung:
        worker = make_worker(address=f"http://127.0.0.1:{hung.getsockname()[1]}")
        assert probed(worker) == ("unreachable", "no_answer")


@pytest.mark.parametrize("status", [401, 404, 500])
def test_an_address_where_somebody_else_answers(make_worker, status):
    with listening(status) as (url, _):
        assert probed(make_worker(address=url)) == ("unreachable", "stranger")


def test_a_redirect_is_not_followed_with_the_secret(make_worker):
    with listening() as (elsewhere, shown), listening(302, Location=elsewhere) as (url, _):
        assert probed(make_worker(address=url)) == ("unreachable", "stranger")
    assert shown == []


def test_an_address_without_tls_where_it_is_promised(make_worker):
    with listening() as (url, _):
        assert probed(make_worker(address=url.replace("http:", "https:"))) == ("unreachable", "untrusted")


def shows(folder: Path, name: str) -> tuple[ssl.SSLContext, str]:
    """A server's side of TLS with a certificate of its own, and the fingerprint of that."""
    certificate, key = make_certificate(folder, name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context, hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()


def test_a_worker_with_the_certificate_that_it_announced(make_worker, tmp_path):
    context, fingerprint = shows(tmp_path, "box")
    with listening(context=context) as (url, _):
        assert probed(make_worker(address=url, certificate_sha256=fingerprint)) == ("alive", "")


@pytest.mark.parametrize("announced", ["another", "none"])
def test_whoever_shows_another_certificate_hears_no_secret(make_worker, tmp_path, announced):
    context, _ = shows(tmp_path, "impostor")
    expected = shows(tmp_path, "box")[1] if announced == "another" else ""
    with listening(context=context) as (url, shown):
        assert probed(make_worker(address=url, certificate_sha256=expected)) == ("unreachable", "untrusted")
    assert shown == []


def test_it_is_alive_again_as_soon_as_it_answers(make_worker):
    worker = make_worker(address="http://127.0.0.1:9")
    probe_workers()
    with listening() as (url, _):
        Worker.objects.update(address=url)
        assert probed(worker) == ("alive", "")
    causes = Transition.objects.order_by("pk").values_list("before", "after", "cause")
    assert list(causes) == [("alive", "unreachable", "probe_failed"), ("unreachable", "alive", "probe_answered")]


def test_a_probe_that_nobody_repeats_says_nothing_any_more(make_worker):
    worker = make_worker(probe_failure="refused", probed_at=now() - settings.SILENT_AFTER - timedelta(seconds=1))
    assert worker.state is WorkerState.ALIVE


def test_silence_is_believed_sooner_when_a_probe_failed_too(make_worker):
    late = now() - settings.OVERDUE_AFTER - timedelta(seconds=1)
    silent = make_worker("silent", last_heartbeat_at=late, probed_at=now(), probe_failure="no_answer")
    late_only = make_worker("late", last_heartbeat_at=late, probed_at=now())
    assert [silent.state, late_only.state] == ["silent", "alive"]
    assert list(Worker.objects.alive()) == [late_only]
    assert list(Worker.objects.fallen_silent()) == [silent]


def test_heartbeats_do_not_make_an_unreachable_worker_look_well(make_worker):
    worker = make_worker(boot_id="boot-1", probed_at=now(), probe_failure="refused")
    record_heartbeat(worker, heartbeat())
    assert worker.state is WorkerState.UNREACHABLE
    assert not Transition.objects.exists()


def test_an_unreachable_worker_needs_attention_and_gets_no_new_replica(make_worker, make_deployment):
    make_worker("box-1", probed_at=now(), probe_failure="refused")
    make_deployment()
    (unplaced,) = reconcile().unplaced
    assert [refusal.why for _, refusal in unplaced.refusals] == ["unreachable"]
    titles = [finding.title for finding in findings(read_overview())]
    assert "Worker box-1 cannot be reached" in titles


def test_requests_go_to_replicas_within_reach_and_to_others_only_when_there_are_no_such(make_worker, make_deployment):
    near, far = make_worker("near"), make_worker("far")
    make_deployment("echo-1", num_replicas=2)
    reconcile()
    near.replicas.model.objects.update(phase="ready", observed_at=now())
    Worker.objects.filter(pk=far.pk).update(probed_at=now(), probe_failure="refused")
    assert [replica.worker_name for replica in read_fleet_snapshot().replicas["echo-1"]] == ["near"]
    Worker.objects.filter(pk=near.pk).update(probed_at=now(), probe_failure="refused")
    assert len(read_fleet_snapshot().replicas["echo-1"]) == 2
