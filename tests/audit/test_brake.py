"""What anybody may do as often as they like fills no disk: a few entries a minute, the rest counted."""

import pytest
from django.core.cache import cache

from audit.models import AuditEntry, Door
from audit.recording import MOST_OF_A_NETWORK, MOST_OF_ALL, Actor, record_braked

pytestmark = [pytest.mark.django_db, pytest.mark.once]
"""Redis keeps the real time, and one cache for all who run tests beside this."""


@pytest.fixture(autouse=True)
def _noon(time_machine):
    cache.clear()
    time_machine.move_to("2026-03-11T12:00:00Z", tick=False)


def fail(address: str, times: int = 1) -> None:
    for _ in range(times):
        record_braked(Actor(door=Door.SIGN_IN, name="", address=address), "sign-in failed")


def test_one_network_writes_so_many_entries_a_minute_and_the_next_says_what_is_missing(time_machine):
    fail("192.0.2.7", MOST_OF_A_NETWORK + 5)
    written = AuditEntry.objects.count()
    time_machine.shift(60)
    fail("192.0.2.7", 2)
    told = list(AuditEntry.objects.order_by("pk").values_list("after", flat=True)[written:])
    assert (written, told) == (MOST_OF_A_NETWORK, [{"entries left out before": 5}, {}])


def test_an_ipv6_network_is_one_sender():
    for number in range(MOST_OF_A_NETWORK + 5):
        fail(f"2001:db8::{number:x}")
    assert AuditEntry.objects.count() == MOST_OF_A_NETWORK


def test_others_are_recorded_meanwhile_up_to_so_many_in_all():
    fail("192.0.2.7", 100)
    fail("198.51.100.1")
    assert AuditEntry.objects.filter(address="198.51.100.1").count() == 1
    for number in range(MOST_OF_ALL):
        fail(f"10.0.{number // 250}.{number % 250}")
    assert AuditEntry.objects.count() == MOST_OF_ALL


def test_what_is_no_address_is_a_sender_too():
    fail("somewhere", MOST_OF_A_NETWORK + 1)
    assert AuditEntry.objects.count() == MOST_OF_A_NETWORK
