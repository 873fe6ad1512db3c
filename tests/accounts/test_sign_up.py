"""Who may make an account for themselves."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils.timezone import now

from accounts.models import Invitation, Team, User
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db

GRACE = {"username": "grace", "email": "", "password1": "battery staple", "password2": "battery staple"}
ADD = "/admin/accounts/invitation/add/"


@pytest.fixture
def link(admin_client: Client) -> str:
    """The link of an invitation, as admin shows it."""
    team = Team.objects.create(name="research")
    page = admin_client.post(ADD, {"name": "Grace", "team": team.pk, "valid_for": "7"})
    assert "no-store" in page["Cache-Control"]
    return re.search(r"http://testserver(/invitation/[\w-]+/)", page.content.decode())[1]


@pytest.fixture
def by_invitation(settings) -> None:
    settings.SIGN_UP = "invitation"


def test_nobody_makes_an_account_unless_the_settings_say_so(client: Client):
    client.post("/sign-up/", GRACE)
    assert "Create an account" not in client.get("/login/").content.decode()
    assert not User.objects.exists()


def test_where_sign_up_is_open_anybody_does_and_is_signed_in(client: Client, settings):
    settings.SIGN_UP = "open"
    assert "Create an account" in client.get("/login/").content.decode()
    assert client.post("/sign-up/", GRACE)["Location"] == "/"
    assert client.get("/account/").context["user"] == User.objects.get(username="grace")


def test_a_new_account_is_nobody_special(client: Client, settings):
    settings.SIGN_UP = "open"
    client.post("/sign-up/", GRACE | {"is_staff": "on", "is_superuser": "on", "team": "1"})
    grace = User.objects.get()
    assert (grace.is_staff, grace.is_superuser, grace.team) == (False, False, None)


@pytest.mark.parametrize("name", ["ada", "ADA"])
def test_a_name_is_given_once(client: Client, settings, ada, name):
    settings.SIGN_UP = "open"
    assert b"errorlist" in client.post("/sign-up/", GRACE | {"username": name}).content
    assert User.objects.count() == 1


def test_an_invitation_makes_one_member_of_its_team(client: Client, link, by_invitation):
    assert client.get(link)["Location"] == "/sign-up/"
    client.post("/sign-up/", GRACE)
    assert User.objects.get(username="grace").team.name == "research"
    assert Invitation.objects.get().used_by.username == "grace"


def test_it_is_good_once(link, by_invitation):
    first, second = Client(), Client()
    first.get(link)
    second.get(link)
    first.post("/sign-up/", GRACE)
    second.post("/sign-up/", GRACE | {"username": "eve"})
    assert "still good" in Client().get(link).content.decode()
    assert not User.objects.filter(username="eve").exists()


def test_of_two_who_use_it_at_the_same_moment_one_gets_an_account(link, by_invitation, client: Client, monkeypatch):
    client.get(link)
    was_good = Invitation.objects.get()
    Invitation.objects.update(used_at=now())
    monkeypatch.setattr("accounts.sign_up.brought", lambda request: was_good)
    assert "still good" in client.post("/sign-up/", GRACE).content.decode()
    assert not User.objects.filter(username="grace").exists()


def test_it_expires(client: Client, link, by_invitation):
    client.get(link)
    Invitation.objects.update(expires_at=now() - timedelta(seconds=1))
    client.post("/sign-up/", GRACE)
    assert not User.objects.filter(username="grace").exists()


def test_a_deleted_one_is_withdrawn(client: Client, link, by_invitation, admin_client: Client):
    client.get(link)
    admin_client.post(f"/admin/accounts/invitation/{Invitation.objects.get().pk}/delete/", {"post": "yes"})
    client.post("/sign-up/", GRACE)
    assert not User.objects.filter(username="grace").exists()


def test_where_sign_up_is_closed_an_invitation_opens_nothing(client: Client, link):
    client.get(link)
    client.post("/sign-up/", GRACE)
    assert not User.objects.filter(username="grace").exists()


@pytest.mark.parametrize("text", ["x", "flt-invite-guessed", "flt-invite-" + "a" * 49])
def test_a_guessed_link_opens_nothing(client: Client, by_invitation, text):
    assert client.get(f"/invitation/{text}/").status_code == 404


def test_the_link_is_written_nowhere(link, admin_client: Client):
    token = link.split("/")[2]
    rows = [*Invitation.objects.values_list(), *AuditEntry.objects.values_list()]
    listed = admin_client.get("/admin/accounts/invitation/").content.decode()
    assert token not in f"{rows} {listed}"


def test_making_and_using_one_is_in_the_audit_log(client: Client, link, by_invitation):
    client.get(link)
    client.post("/sign-up/", GRACE)
    acts = AuditEntry.objects.order_by("pk").values_list("act", "object_name", "actor_name")
    assert list(acts) == [
        ("added", "Grace", "admin"),
        ("used", "Grace", ""),
        ("signed up", "grace", ""),
        ("signed in", "grace", "grace"),
    ]
