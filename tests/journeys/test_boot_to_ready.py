"""A daemon joins, loads what it is told, answers, and goes away cleanly: with real processes."""

import json
import stat

import pytest

from fleet.models import Worker
from fleet.reconciler import reconcile
from tests.journeys.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def wait_for_worker(name: str = "worker-1") -> Worker:
    heard = Worker.objects.filter(name=name, last_heartbeat_at__isnull=False)
    return wait_until(heard.first, what="the worker beats")


def test_a_deployed_model_becomes_ready_on_a_worker_that_joins(start_worker, deploy, wait_ready):
    deployment = deploy("echo")
    worker = start_worker()
    replica = wait_ready(deployment)
    assert replica.worker.name == worker.name
    assert "chat" in replica.capabilities


@pytest.mark.once
def test_the_credential_is_kept_for_its_owner_only(start_worker):
    worker = start_worker()
    wait_for_worker()
    assert stat.S_IMODE((worker.state_dir / "credential.json").stat().st_mode) == 0o600


def test_a_restarted_daemon_is_the_same_worker_without_a_token(start_worker, web):
    worker = start_worker()
    first_boot = wait_for_worker().boot_id
    worker.terminate()
    worker.start(web.url, "")
    wait_until(
        lambda: Worker.objects.exclude(boot_id=first_boot).exists(), what="the second boot beats", log=worker.log
    )
    assert Worker.objects.count() == 1


@pytest.mark.once
def test_sigterm_drains_and_leaves_no_process(start_worker, deploy, wait_ready):
    deployment = deploy("echo")
    worker = start_worker()
    wait_ready(deployment)
    engines = worker.children()
    assert worker.terminate() == 0
    assert engines
    assert not [engine for engine in engines if engine.is_running()]


def test_a_daemon_that_left_says_so_in_its_last_heartbeat(start_worker, deploy, wait_ready):
    deployment = deploy("echo")
    worker = start_worker()
    replica = wait_ready(deployment)
    worker.terminate()
    replica.refresh_from_db()
    assert replica.worker.is_draining
    assert replica.phase == "pending"


@pytest.mark.once
def test_a_killed_daemon_leaves_no_engine_behind(start_worker, deploy, wait_ready):
    deployment = deploy("echo")
    worker = start_worker()
    wait_ready(deployment)
    engines = worker.children()
    worker.kill()
    wait_until(lambda: not [e for e in engines if e.is_running()], what="the engines see that the daemon died")


@pytest.mark.once
def test_a_killed_engine_is_started_again(start_worker, deploy, wait_ready):
    deployment = deploy("echo")
    worker = start_worker()
    wait_ready(deployment)
    (engine,) = worker.children()
    engine.kill()
    again = wait_until(lambda: [e for e in worker.children() if e != engine], what="a new engine", log=worker.log)
    wait_ready(deployment)
    assert again[0].pid != engine.pid


def test_a_changed_deployment_is_served_by_a_new_replica(start_worker, deploy, wait_ready):
    deployment = deploy("echo")
    worker = start_worker()
    before = wait_ready(deployment)
    deployment.source = "repeat=2"
    deployment.save()
    reconcile()
    old = deployment.replicas.filter(pk=before.pk)
    wait_until(lambda: not old.exists(), what="the old replica is unloaded", log=worker.log)
    assert wait_ready(deployment).spec["source"] == "repeat=2"


def test_a_revoked_worker_stops_and_says_why(start_worker):
    worker = start_worker()
    wait_for_worker().revoke()
    assert worker.process.wait(PATIENCE_S) == 1
    assert "revoked" in worker.log.read_text().splitlines()[-1]


@pytest.mark.once
def test_a_worker_without_a_token_says_what_it_needs(start_worker):
    worker = start_worker(token="")
    assert worker.process.wait(PATIENCE_S) == 1
    assert "--join-token" in worker.log.read_text().splitlines()[-1]


def test_no_secret_reaches_the_logs(start_worker, web, join_token):
    worker = start_worker()
    wait_for_worker()
    written = worker.log.read_text() + web.log.read_text()
    kept = json.loads((worker.state_dir / "credential.json").read_text())
    assert not [s for s in (join_token, kept["credential"], kept["gateway_secret"]) if s in written]
