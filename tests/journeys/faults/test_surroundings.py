"""Networks, clocks, disks and servers that fail: the right state soon, and recovery without a hand."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils.timezone import now

from fleet.attention import findings
from fleet.models import JoinToken, Worker
from fleet.overview import read_overview
from tests.journeys.conftest import WorkerProcess
from tests.journeys.faults.conftest import is_serving, probed, state
from tests.journeys.waiting import wait_until
from tests.ports import reserved_port

pytestmark = pytest.mark.django_db(transaction=True)

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@pytest.fixture
def port():
    with reserved_port() as port:
        yield port


@pytest.mark.once
def test_a_connection_that_is_refused(tasks, port, start_worker, deploy, wait_ready, relay, clocked):
    relay.target = port
    deployment = deploy("echo")
    flags = ("--listen", f"127.0.0.1:{relay.target}", "--advertise", f"http://127.0.0.1:{relay.port}")
    process = start_worker("worker-1", *flags)
    wait_ready(deployment)
    probed(process)
    relay.close()
    clocked.start()
    clocked("right state", lambda: state() == "unreachable", process.log)
    relay.open()
    clocked.start()
    clocked("recovery", is_serving, process.log)


@pytest.fixture
def far_worker(machine, web, tasks, join_token, deploy, wait_ready, tmp_path):
    """A worker on a machine of its own."""
    process = WorkerProcess(tmp_path / "far" / "state", "worker-1")
    process.prefix = ["ip", "netns", "exec", machine.name]
    deployment = deploy("echo")
    process.start(f"http://{machine.server_ip}:{web.port}", join_token, "--listen", f"{machine.ip}:8100")
    wait_ready(deployment)
    yield probed(process)
    process.kill()


@pytest.mark.once
def test_a_network_that_swallows_everything(machine, far_worker, clocked):
    engines = far_worker.children()
    machine.pull_cable()
    clocked.start()
    clocked("right state", lambda: state() == "silent", far_worker.log)
    machine.plug_in()
    clocked.start()
    clocked("recovery", is_serving, far_worker.log)
    assert far_worker.children() == engines


def test_a_server_that_restarts(web, worker, clocked):
    engines = worker.children()
    web.kill()
    wait_until(lambda: "No heartbeat" in worker.log.read_text(), what="the worker misses its server")
    web.start()
    clocked.start()
    started_at = now()
    clocked("recovery", Worker.objects.filter(last_heartbeat_at__gt=started_at).exists, worker.log)
    wait_until(is_serving, what="it serves as before")
    assert worker.children() == engines


@pytest.mark.once
@pytest.mark.skipif(not FAKETIME.exists(), reason="needs Debian's faketime")
@pytest.mark.parametrize("skew", ["+1h", "-1h"])
def test_a_clock_that_is_an_hour_off(tasks, deploy, wait_ready, start_worker, monkeypatch, clocked, skew):
    deployment = deploy("echo")
    for name, value in (("LD_PRELOAD", str(FAKETIME)), ("FAKETIME", skew), ("DONT_FAKE_MONOTONIC", "1")):
        monkeypatch.setenv(name, value)
    clocked.start()
    process = start_worker()
    wait_ready(deployment)
    clocked("right state", is_serving, process.log)
    assert abs(Worker.objects.get().last_heartbeat_at - now()) < timedelta(minutes=10)


@pytest.mark.once
def test_a_disk_without_room_for_the_credential(web, tasks, small_disk, join_token, clocked):
    filling = small_disk / "filling"
    filling.write_bytes(bytes(room(small_disk)))
    process = WorkerProcess(small_disk, "worker-1")
    process.log = small_disk.parent / "worker.log"
    clocked.start()
    process.start(web.url, join_token)
    clocked("right state", lambda: "No space left on device" in process.log.read_text())
    assert process.is_running
    assert (Worker.objects.count(), JoinToken.objects.get().num_uses) == (0, 0)
    filling.unlink()
    clocked.start()
    clocked("recovery", lambda: Worker.objects.exists() and state() == "alive", process.log)
    wait_until((small_disk / "credential.json").exists, what="the credential is kept")
    process.kill()


@pytest.mark.once
def test_a_disk_that_fills_up_under_a_worker(web, tasks, small_disk, join_token, deploy, wait_ready, clocked):
    deployment = deploy("echo")
    process = WorkerProcess(small_disk, "worker-1")
    process.log = small_disk.parent / "worker.log"
    process.start(web.url, join_token)
    wait_ready(deployment)
    (small_disk / "filling").write_bytes(bytes(room(small_disk)))
    clocked.start()
    clocked("right state", lambda: Worker.objects.get().hardware["disk_free_bytes"] == 0, process.log)
    assert "Worker worker-1 has little disk left" in [finding.title for finding in findings(read_overview())]
    assert is_serving()
    process.kill()


def room(folder: Path) -> int:
    return shutil.disk_usage(folder).free
