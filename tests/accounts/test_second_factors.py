"""A code app beside the password, and what happens when it is lost."""

import time
from collections.abc import Iterator

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client
from django.utils.timezone import now

from accounts.models import User
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = {"login": "ada", "password": "correct horse"}


@pytest.fixture(autouse=True)
def _time_stands_still() -> Iterator[None]:
    """A code lives for half a minute, and a busy machine may need longer for a test."""
    with time_machine.travel(now(), tick=False):
        yield


def code(secret: str) -> str:
    """What the app shows now."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


@pytest.fixture
def confirmed(ada_client: Client) -> Client:
    """Ada, who has just typed her password once more."""
    ada_client.post("/account/confirm/", {"password": "correct horse"})
    return ada_client


@pytest.fixture
def secret(confirmed: Client) -> str:
    """The secret of the app that Ada has added. The code of that moment is used up."""
    secret = confirmed.get("/account/app/").context["form"].secret
    assert confirmed.post("/account/app/", {"code": code(secret)})["Location"] == "/account/recovery-codes/"
    return secret


@pytest.fixture
def recovery_codes(confirmed: Client, secret) -> list[str]:
    return confirmed.get("/account/recovery-codes/").context["unused_codes"]


def begin(client: Client, **words: str) -> HttpResponse:
    return client.post("/login/", PASSWORD | words)


def test_the_password_alone_is_not_enough_any_more(secret):
    client = Client()
    assert begin(client)["Location"] == "/login/code/"
    assert not is_in(client)
    assert client.get("/")["Location"].startswith("/login/")


def test_nor_is_it_for_the_admin(secret):
    User.objects.update(is_staff=True, is_superuser=True)
    client = Client()
    begin(client, next="/admin/")
    assert client.get("/admin/")["Location"].startswith("/admin/login/")
    assert client.post("/login/code/", {"code": code(secret)})["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_a_code_is_good_once(secret):
    first, second = Client(), Client()
    begin(first), begin(second)
    first.post("/login/code/", {"code": code(secret)})
    second.post("/login/code/", {"code": code(secret)})
    assert (is_in(first), is_in(second)) == (True, False)


def test_an_old_code_is_no_good(secret):
    client = Client()
    begin(client)
    with time_machine.travel(time.time() - 600):
        old = code(secret)
    client.post("/login/code/", {"code": old})
    assert not is_in(client)


def test_codes_cannot_be_guessed_through(secret):
    client = Client()
    begin(client)
    for number in range(5):
        client.post("/login/code/", {"code": f"00000{number}"})
    page = client.post("/login/code/", {"code": code(secret)})
    assert "Too many wrong attempts" in page.content.decode()
    assert not is_in(client)
    assert AuditEntry.objects.filter(act="second factor failed", object_name="ada").count() == 5


def test_a_recovery_code_is_good_once(recovery_codes):
    assert len(recovery_codes) == 10
    first, second = Client(), Client()
    begin(first), begin(second)
    first.post("/login/code/", {"code": recovery_codes[0]})
    second.post("/login/code/", {"code": recovery_codes[0]})
    assert (is_in(first), is_in(second)) == (True, False)


def test_new_recovery_codes_end_the_old_ones(confirmed: Client, recovery_codes):
    confirmed.post("/account/recovery-codes/new/")
    client = Client()
    begin(client)
    client.post("/login/code/", {"code": recovery_codes[0]})
    assert not is_in(client)


@pytest.mark.parametrize(
    "path", ["app/", "app/remove/", "recovery-codes/", "recovery-codes/new/", "recovery-codes/file/"]
)
def test_a_browser_left_open_is_no_way_to_the_factors(secret, path):
    client = Client()
    client.force_login(User.objects.get())
    assert client.get(f"/account/{path}")["Location"].startswith("/account/confirm/")


def test_removing_the_app_needs_the_password_and_takes_the_recovery_codes_along(confirmed: Client, secret):
    confirmed.post("/account/app/remove/")
    assert not Authenticator.objects.exists()
    assert begin(Client())["Location"] == "/"


def test_the_secrets_are_encrypted_at_rest(secret, recovery_codes):
    rows = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in rows
    assert not any(one in rows for one in recovery_codes)


def test_adding_and_removing_is_in_the_audit_log_and_no_secret_is(confirmed: Client, secret, recovery_codes):
    confirmed.post("/account/recovery-codes/new/")
    confirmed.post("/account/app/remove/")
    acts = AuditEntry.objects.filter(door="page").order_by("pk").values_list("act", "actor_name")
    assert list(acts) == [
        ("added a code app", "ada"),
        ("made new recovery codes", "ada"),
        ("removed the code app", "ada"),
    ]
    assert secret not in str(list(AuditEntry.objects.values_list()))


def test_an_administrator_forgets_the_factors_of_who_has_lost_them(secret, admin_client: Client):
    ada = User.objects.get(username="ada")
    admin_client.post(f"/admin/accounts/user/{ada.pk}/forget_factors/", {"_form_submitted": "on"})
    assert begin(Client())["Location"] == "/"
    assert AuditEntry.objects.filter(actor_name="admin", object_name="ada").exists()


def test_for_the_administrator_there_is_a_command(secret):
    call_command("forget_factors", "ada")
    assert begin(Client())["Location"] == "/"
    assert AuditEntry.objects.filter(act="forget_factors", door="command").exists()


def test_the_command_names_what_is_wrong():
    with pytest.raises(CommandError, match="no account named eve"):
        call_command("forget_factors", "eve")
