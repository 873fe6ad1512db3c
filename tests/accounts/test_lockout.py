"""Who fails too often has to wait; whoever else wants in does not."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.http import HttpResponse
from django.test import Client
from django.utils.timezone import now

from accounts.models import User
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db

ATTACKER, OFFICE = "203.0.113.7", "198.51.100.9"


@pytest.fixture(autouse=True)
def _time_stands_still() -> Iterator[None]:
    """What is allowed is allowed within a minute, and a busy machine may need longer for a test."""
    with time_machine.travel(now(), tick=False):
        yield


def sign_in(client: Client, password: str = "correct horse", *, at: str, name: str = "ada") -> HttpResponse:
    return client.post("/login/", {"login": name, "password": password}, REMOTE_ADDR=at)


def attack(at: str, *, times: int = 5, name: str = "ada") -> None:
    for number in range(times):
        sign_in(Client(), f"guess {number}", at=at, name=name)


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_after_five_wrong_passwords_even_the_right_one_has_to_wait(client: Client, ada):
    attack(ATTACKER)
    page = sign_in(client, at=ATTACKER)
    assert "Too many wrong attempts" in page.content.decode()
    assert not is_in(client)


@pytest.mark.once  # Redis keeps the real time
def test_the_wait_ends(client: Client, ada):
    with time_machine.travel(now() - timedelta(seconds=301)):
        attack(ATTACKER)
    sign_in(client, at=ATTACKER)
    assert is_in(client)


def test_attempts_from_elsewhere_lock_nobody_out(client: Client, ada):
    attack(ATTACKER, times=8)
    sign_in(client, at=OFFICE)
    assert is_in(client)


def test_at_the_attackers_own_address_others_still_sign_in(client: Client, ada):
    User.objects.create_user("eve", password="correct horse")
    attack(OFFICE)
    sign_in(client, at=OFFICE, name="eve")
    assert is_in(client)


def test_a_browser_that_knows_the_password_is_not_locked_out_by_its_neighbours(client: Client, ada):
    sign_in(client, at=OFFICE)
    client.post("/logout/")
    attack(OFFICE, times=40)
    sign_in(client, at=OFFICE)
    assert is_in(client)


def test_such_a_browser_has_no_endless_attempts_either(client: Client, ada):
    sign_in(client, at=OFFICE)
    client.post("/logout/")
    for number in range(5):
        sign_in(client, f"guess {number}", at=OFFICE)
    sign_in(client, at=OFFICE)
    assert not is_in(client)


def test_the_mark_of_a_browser_holds_for_the_name_that_signed_in_there_only(client: Client, ada):
    sign_in(client, at=OFFICE)
    client.post("/logout/")
    User.objects.create_user("eve", password="correct horse")
    attack(OFFICE, name="eve")
    sign_in(client, at=OFFICE, name="eve")
    assert not is_in(client)


def test_many_names_from_one_address_are_stopped_as_well(client: Client, ada):
    for number in range(30):
        attack(ATTACKER, times=1, name=f"name-{number}")
    sign_in(client, at=ATTACKER)
    assert not is_in(client)


def test_signing_in_often_is_no_attack(ada):
    for _ in range(40):
        sign_in(client := Client(), at=OFFICE)
        assert is_in(client)


def test_an_attack_cannot_fill_the_audit_log(ada):
    attack(ATTACKER, times=20)
    assert AuditEntry.objects.filter(act="sign-in failed").count() == 5


def test_spelling_the_name_another_way_gives_no_more_attempts(client: Client, ada):
    attack(ATTACKER)
    sign_in(client, at=ATTACKER, name="ADA")
    assert not is_in(client)


def test_the_count_is_kept_where_all_web_processes_see_it(client: Client, ada, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "flotilla_cache"}
    }
    attack(ATTACKER)
    sign_in(client, at=ATTACKER)
    assert not is_in(client)
