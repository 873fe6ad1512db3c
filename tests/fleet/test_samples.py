"""How busy a worker was in the last hour: kept thin, shown on its page as lines that can also be read aloud."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from fleet.capacity import capacity, device_names
from fleet.heartbeats import record_heartbeat
from fleet.models import Sample, Worker
from fleet.samples import NUM_MINUTES, prune, read_load
from fleet.sparklines import sparkline
from protocol.control import Device, ReplicaPhase, ReplicaStatus
from tests.fleet.conftest import HARDWARE, heartbeat

MINUTE = timedelta(minutes=1)


def beat(worker: Worker, sequence: int, num_running: int = 0, **fields: object) -> None:
    status = ReplicaStatus(replica_id="r1", phase=ReplicaPhase.READY, num_running=num_running)
    record_heartbeat(worker, heartbeat(sequence=sequence, replicas=[status], **fields))


def test_the_first_heartbeat_of_a_minute_is_taken_down_and_no_other(make_worker, time_machine):
    time_machine.move_to("2026-03-01 12:00:01+00:00", tick=False)
    worker = make_worker(boot_id="boot-1", last_heartbeat_at=now() - MINUTE)
    beat(worker, 1, num_running=3)
    beat(worker, 2, num_running=5)
    time_machine.shift(MINUTE)
    beat(worker, 3, num_running=7)
    assert list(Sample.objects.values_list("num_running", flat=True)) == [3, 7]


def test_minutes_without_a_heartbeat_leave_a_gap(make_worker, time_machine):
    time_machine.move_to("2026-03-01 12:00:01+00:00", tick=False)
    worker = make_worker(boot_id="boot-1", last_heartbeat_at=now() - MINUTE)
    for sequence, pause in enumerate([MINUTE, 10 * MINUTE, MINUTE], start=1):
        beat(worker, sequence, num_running=sequence)
        time_machine.shift(pause)
    running = read_load(str(worker.pk))[0]
    assert (len(running.paths), running.latest, running.highest) == (2, "3", "3")


def test_memory_is_that_of_the_accelerators_where_there_are_any(make_worker):
    cards = [
        Device(name=f"H100 ({number})", kind="cuda", memory_total_bytes=80, memory_free_bytes=20) for number in (0, 1)
    ]
    machine = replace(HARDWARE, devices=[*cards, *HARDWARE.devices])
    worker = make_worker(boot_id="boot-1", last_heartbeat_at=None)
    beat(worker, 1, hardware=machine)
    found = capacity(worker.hardware)
    assert (found.memory_used_bytes, found.memory_total_bytes, found.utilization) == (120, 160, None)
    assert Sample.objects.get().memory_share == 0.75
    assert device_names(worker.hardware) == "2 × H100"


def test_what_no_page_shows_any_more_is_forgotten(make_worker):
    worker = make_worker()
    for age in (0, NUM_MINUTES + 5):
        Sample.objects.create(worker=worker, minute=now() - age * MINUTE, num_running=0, num_waiting=0)
    assert [prune(), Sample.objects.count()] == [1, 1]


def test_a_line_reaches_from_the_bottom_to_the_top():
    line = sparkline("Load", [0.0, 1.0], "{:.0f}".format)
    assert line.paths == ("2.0,38.0 238.0,2.0",)


def test_nothing_known_is_no_line():
    assert sparkline("Load", [None, None], str) == sparkline("Load", [], str)


def test_the_worker_s_page_tells_the_line_in_words(admin_client: Client, make_worker, time_machine):
    # The minute must not end between the figure and the page.
    time_machine.move_to(now(), tick=False)
    worker = make_worker()
    Sample.objects.create(worker=worker, minute=now().replace(second=0, microsecond=0), num_running=4, num_waiting=0)
    page = admin_client.get(reverse("admin:fleet_worker_change", args=[worker.pk])).content.decode()
    assert 'aria-label="Running requests, last hour: now 4, lowest 4, highest 4"' in page


@pytest.mark.parametrize("figure", ["Memory in use", "Computing time in use"])
def test_what_a_worker_does_not_tell_is_said_to_be_unknown(admin_client: Client, make_worker, figure):
    page = admin_client.get(reverse("admin:fleet_worker_change", args=[make_worker().pk])).content.decode()
    assert "not told in the last hour" in page[page.index(figure) :]
