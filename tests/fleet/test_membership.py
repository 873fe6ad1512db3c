"""Whose credential opens the door: changed without a gap, taken away at once, and used by one daemon only."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils.timezone import now

from fleet.attention import findings
from fleet.enrolment import enrol
from fleet.errors import CredentialRefused, CredentialShared, HeartbeatReplayed, WorkerRevoked
from fleet.heartbeats import record_heartbeat
from fleet.membership import revoke, rotate_credential, worker_with_credential
from fleet.models import Worker
from fleet.overview import read_overview
from tests.fleet.conftest import enrolment, heartbeat


@pytest.fixture
def joined(issue) -> tuple[Worker, str]:
    """A worker and its credential."""
    enrolled = enrol(issue()[1], enrolment())
    return Worker.objects.get(), enrolled.credential


def handed_over(credential: str, sequence: int) -> str:
    worker = worker_with_credential(credential)
    return record_heartbeat(worker, heartbeat(sequence=sequence)).next_credential


def test_no_new_credential_without_being_asked_for(joined):
    assert handed_over(joined[1], 1) == ""


def test_a_new_credential_comes_with_the_next_heartbeat_and_ends_the_old_one_by_being_used(joined):
    worker, old = joined
    rotate_credential(worker)
    new = handed_over(old, 1)
    assert worker_with_credential(new) == worker
    with pytest.raises(CredentialRefused, match="unknown"):
        worker_with_credential(old)


def test_until_the_new_one_is_used_the_old_one_brings_the_same_again(joined):
    worker, old = joined
    rotate_credential(worker)
    assert handed_over(old, 1) == handed_over(old, 2) != ""


def test_nothing_is_handed_over_any_more_once_it_was_used(joined):
    worker, old = joined
    rotate_credential(worker)
    new = handed_over(old, 1)
    assert handed_over(new, 2) == ""


def test_one_change_at_a_time(joined):
    worker, old = joined
    assert [rotate_credential(worker), rotate_credential(worker)] == [True, False]
    worker_with_credential(handed_over(old, 1))
    assert rotate_credential(worker)


def test_a_revoked_worker_gets_no_new_credential(joined):
    worker, old = joined
    rotate_credential(worker)
    revoke(worker)
    with pytest.raises(WorkerRevoked):
        worker_with_credential(old)
    assert not rotate_credential(worker)


def test_the_new_credential_lies_encrypted_in_the_database(joined):
    worker, old = joined
    rotate_credential(worker)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM fleet_worker")
        stored = str(cursor.fetchall())
    assert handed_over(old, 1) not in stored


def test_the_administrator_rotates_from_the_worker_s_page(admin_client: Client, joined):
    worker, old = joined
    admin_client.get(f"/admin/fleet/worker/{worker.pk}/rotate_credential/")
    assert handed_over(old, 1) == ""
    admin_client.post(f"/admin/fleet/worker/{worker.pk}/rotate_credential/", {"_form_submitted": "on"})
    assert handed_over(old, 2) != ""


def beat(worker: Worker, boot_id: str, sequence: int = 1) -> None:
    worker.refresh_from_db()
    record_heartbeat(worker, heartbeat(boot_id=boot_id, sequence=sequence))


def test_a_heartbeat_of_an_earlier_start_is_a_replay(make_worker):
    worker = make_worker()
    beat(worker, "boot-1", 5)
    beat(worker, "boot-2")
    with pytest.raises(HeartbeatReplayed):
        beat(worker, "boot-1", 6)
    worker.refresh_from_db()
    assert (worker.boot_id, worker.sequence) == ("boot-2", 1)


def test_a_second_daemon_with_a_copied_credential_is_noticed_and_only_one_is_heard(make_worker):
    worker = make_worker()
    beat(worker, "original")
    beat(worker, "copy")
    with pytest.raises(CredentialShared, match="Another daemon"):
        beat(worker, "original", 2)
    beat(worker, "copy", 2)
    assert "Two daemons use the credential of worker box-1" in [f.title for f in findings(read_overview())]


def test_that_is_forgotten_when_the_other_is_gone(make_worker, time_machine):
    worker = make_worker(shared_at=now())
    assert worker.is_shared
    time_machine.move_to(now() + timedelta(minutes=2))
    assert not worker.is_shared


def test_a_daemon_that_restarts_often_is_no_second_one(make_worker):
    worker = make_worker()
    for number in range(200):
        beat(worker, f"start-{number}")
    assert (worker.is_shared, len(worker.past_boots)) == (False, 50)
