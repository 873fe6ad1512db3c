"""A forgotten password: a link by mail where there is mail, else a line that says whom to ask."""

import re

import pytest
from django.contrib.auth import authenticate
from django.test import Client

from accounts.models import User
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db
ASK, NEW = "/login/forgotten/", {"password1": "battery staple 9", "password2": "battery staple 9"}


@pytest.fixture
def mail(settings, ada) -> None:
    settings.EMAIL_URL, settings.ALLOWED_HOSTS = "smtp://mail.example.com", ["testserver"]
    User.objects.filter(pk=ada.pk).update(email="ada@example.org")


@pytest.fixture
def link(mail, client: Client, mailoutbox) -> str:
    """The one that Ada is sent."""
    client.post(ASK, {"email": "Ada@example.org"})
    return re.search(r"http://testserver(/\S+)", mailoutbox[0].body)[1]


def test_the_link_leads_to_another_password(client: Client, link, mailoutbox):
    form = client.get(link)["Location"]
    done = client.post(form, NEW, follow=True)
    assert "The password is changed" in done.content.decode()
    assert authenticate(username="ada", password=NEW["password1"])
    assert (mailoutbox[0].subject, mailoutbox[0].to) == ("Flotilla: Choose another password", ["ada@example.org"])
    assert AuditEntry.objects.get().act == "chose a new password by mail"


def test_a_link_is_good_once(client: Client, link):
    client.post(client.get(link)["Location"], NEW)
    assert "This link is no good" in Client().get(link).content.decode()


def test_a_bad_password_is_named(client: Client, link):
    page = client.post(client.get(link)["Location"], {"password1": "short", "password2": "short"})
    assert "too short" in page.content.decode()


def test_nobody_learns_whose_address_it_is(client: Client, mail, mailoutbox):
    User.objects.create_user("bot", password="x", email="bot@example.org", is_service=True)
    User.objects.create_user("grace", email="grace@example.org")
    names = ("eve", "bot", "grace")
    answers = [client.post(ASK, {"email": f"{name}@example.org"}, follow=True).content for name in names]
    assert len({re.sub(rb'value="\w{64}"', b"", answer) for answer in answers}) == 1
    assert b"Look into your mailbox" in answers[0]
    assert not mailoutbox


@pytest.mark.parametrize("settled", [{"EMAIL_URL": ""}, {"ALLOWED_HOSTS": ["*"]}], ids=["no mail", "any host"])
def test_where_no_link_can_be_mailed_the_page_says_whom_to_ask(client: Client, mail, settings, settled):
    for name, value in settled.items():
        setattr(settings, name, value)
    assert client.get(ASK).status_code == 404
    assert "Ask the administrator" in client.get("/login/").content.decode()


def test_where_it_can_sign_in_leads_there(client: Client, mail):
    assert f'href="{ASK}"' in client.get("/login/").content.decode()
    assert client.get(ASK).status_code == 200
