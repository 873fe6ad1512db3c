"""A worker's credential is changed while it serves, and a copy of it does not go unnoticed: with real daemons."""

import shutil

import pytest

from fleet.membership import rotate_credential
from fleet.models import Worker
from tests.journeys.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_rotated_credential_interrupts_nothing_and_survives_a_restart(start_worker, deploy, wait_ready, web):
    deployment = deploy("echo")
    process = start_worker()
    worker = wait_ready(deployment).worker
    engines = process.children()
    rotate_credential(worker)
    changed = Worker.objects.exclude(credential_hash=worker.credential_hash)
    wait_until(changed.exists, what="the new credential was used", log=process.log)
    assert process.children() == engines
    process.kill()
    process.start(web.url, "")
    wait_until(changed.exclude(boot_id=worker.boot_id).exists, what="it is the same worker", log=process.log)
    assert Worker.objects.count() == 1


def test_a_copied_credential_is_noticed(start_worker, tmp_path):
    original = start_worker("worker-1")
    wait_until(Worker.objects.filter(last_heartbeat_at__isnull=False).exists, what="the worker beats")
    shutil.copytree(original.state_dir, tmp_path / "copy" / "state")
    copy = start_worker("copy", token="")
    wait_until(Worker.objects.filter(shared_at__isnull=False).exists, what="the server notices", log=copy.log)
    wait_until(lambda: "Another daemon" in original.log.read_text(), what="the original says so", log=original.log)
    assert original.is_running
    assert Worker.objects.count() == 1
