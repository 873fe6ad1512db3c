"""Each change of state leaves a line in its worker's timeline, with the cause."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from fleet.enrolment import enrol
from fleet.fragments import read_fragments
from fleet.heartbeats import mark_lost, record_heartbeat
from fleet.membership import revoke
from fleet.models import Replica, Transition, Worker
from fleet.reconciler import reconcile
from fleet.timeline import prune, read_timeline
from protocol.control import ReplicaPhase, ReplicaStatus
from tests.fleet.conftest import enrolment, heartbeat


def changes() -> list[tuple[str, str, str]]:
    """The oldest first."""
    return list(Transition.objects.order_by("pk").values_list("before", "after", "cause"))


def test_joining_is_the_first_line(issue):
    enrol(issue()[1], enrolment())
    assert changes() == [("", "silent", "joined")]


def test_a_steady_worker_adds_nothing(make_worker):
    worker = make_worker(boot_id="boot-1")
    for sequence in (1, 2, 3):
        record_heartbeat(worker, heartbeat(sequence=sequence))
    assert changes() == []


def test_silence_and_return(make_worker):
    worker = make_worker(boot_id="boot-1", last_heartbeat_at=now() - timedelta(minutes=5))
    mark_lost()
    mark_lost()
    record_heartbeat(worker, heartbeat())
    assert changes() == [("alive", "silent", "silence"), ("silent", "alive", "heartbeat")]


def test_a_daemon_that_was_started_anew(make_worker):
    record_heartbeat(make_worker(boot_id="boot-1"), heartbeat(boot_id="boot-2"))
    assert changes() == [("alive", "alive", "daemon_started")]


def test_a_daemon_that_is_told_to_stop(make_worker):
    record_heartbeat(make_worker(boot_id="boot-1"), heartbeat(is_draining=True))
    assert changes() == [("alive", "draining", "daemon_stops")]


def test_revoking(make_worker):
    worker = make_worker()
    assert [revoke(worker), revoke(worker)] == [True, False]
    assert changes() == [("alive", "revoked", "administrator")]


def test_a_replica_s_way_from_pending_to_gone(make_worker, make_deployment):
    worker = make_worker(boot_id="boot-1")
    make_deployment("echo-1")
    reconcile()
    replica_id = str(Replica.objects.get().pk)
    said = [
        ReplicaStatus(replica_id=replica_id, phase=ReplicaPhase.LOADING, progress=0.1),
        ReplicaStatus(replica_id=replica_id, phase=ReplicaPhase.LOADING, progress=0.9),
        ReplicaStatus(replica_id=replica_id, phase=ReplicaPhase.FAILED, error="Out of memory."),
    ]
    for sequence, status in enumerate(said, 1):
        record_heartbeat(worker, heartbeat(sequence=sequence, replicas=[status]))
    Replica.objects.all().retire()
    record_heartbeat(worker, heartbeat(sequence=9))
    assert changes() == [
        ("pending", "loading", "reported"),
        ("loading", "failed", "reported"),
        ("failed", "unloaded", "reported"),
    ]
    assert [entry.detail for entry in read_timeline(str(worker.pk))] == ["", "Out of memory.", ""]


def test_a_replica_that_its_worker_forgot(make_worker, make_deployment):
    worker = make_worker(boot_id="boot-1")
    make_deployment()
    reconcile()
    ready = ReplicaStatus(replica_id=str(Replica.objects.get().pk), phase=ReplicaPhase.READY)
    record_heartbeat(worker, heartbeat(sequence=1, replicas=[ready]))
    record_heartbeat(worker, heartbeat(sequence=2))
    assert changes()[-1] == ("ready", "pending", "not_reported")


def note(worker: Worker, count: int) -> None:
    for _ in range(count):
        Transition.objects.note(worker, "alive", "silent", "silence")


def test_what_is_old_is_forgotten(make_worker, settings, time_machine):
    settings.TIMELINE_KEEP_DAYS = 7
    worker = make_worker()
    note(worker, 2)
    time_machine.move_to(now() + timedelta(days=8))
    note(worker, 1)
    assert [prune(), Transition.objects.count()] == [2, 1]


def test_one_noisy_worker_cannot_fill_the_disk(make_worker, settings):
    settings.TIMELINE_KEEP_NUM = 3
    noisy, calm = make_worker("noisy"), make_worker("calm")
    note(noisy, 10)
    note(calm, 2)
    assert prune() == 7
    assert [noisy.transitions.count(), calm.transitions.count()] == [3, 2]


def test_the_worker_s_page_shows_it(admin_client: Client, make_worker):
    worker = make_worker()
    Transition.objects.note(worker, "alive", "silent", "silence", detail="<b>power cut</b>")
    page = admin_client.get(reverse("admin:fleet_worker_change", args=[worker.pk])).content.decode()
    assert f'data-live="timeline:{worker.pk}"' in page
    assert "&lt;b&gt;power cut&lt;/b&gt;" in page


def test_an_open_page_hears_of_its_own_worker_s_timeline_only(make_worker):
    shown, other = make_worker("shown"), make_worker("other")
    note(shown, 1)
    note(other, 1)
    assert list(read_fragments({f"timeline:{shown.pk}"})) == [f"timeline:{shown.pk}"]


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["timeline", "timeline:", "timeline:x", "timeline:1'--"])
def test_a_page_that_asks_for_nonsense_gets_nothing(key):
    assert read_fragments({key}) == {}
