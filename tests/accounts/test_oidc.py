"""Signing in by the organisation's provider: a real one, on this machine."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import oidc_provider_mock
import pytest
import requests
from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from audit.models import AuditEntry

# The provider runs in a thread of the test, and its own packages warn it.
pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

START, CALLBACK = "/oidc/main/login/", "/oidc/main/login/callback/"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(autouse=True)
def _configured(settings, provider) -> None:
    settings.OIDC_CREATES_ACCOUNTS = True
    settings.SOCIALACCOUNT_REQUESTS_TIMEOUT = 30
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app(provider)]}}


def app(server_url: str) -> dict:
    client = {"client_id": "flotilla", "secret": "s3cret"}
    return {"provider_id": "main", "name": "Example Corp", "settings": {"server_url": server_url}} | client


def know(provider: str, sub: str, **claims: str) -> None:
    """The provider knows this person."""
    requests.put(f"{provider}/users/{sub}", json=claims, timeout=30).raise_for_status()


def come_back(client: Client, sub: str, *, start: str = START) -> HttpResponse:
    """What a browser does: to the provider, its form, and back to us with a code."""
    there = client.get(start)["Location"]
    back = requests.post(there, data={"sub": sub}, allow_redirects=False, timeout=30).headers["Location"]
    address = urlsplit(back)
    assert address.path == CALLBACK
    return client.get(f"{address.path}?{address.query}")


def test_the_sign_in_page_offers_it_by_name(client: Client):
    assert "Example Corp" in client.get("/login/").content.decode()


def test_whoever_the_provider_knows_gets_an_account_and_is_in(client: Client, provider):
    know(provider, "g1", preferred_username="grace", email="grace@example.org")
    assert come_back(client, "g1")["Location"] == "/"
    grace = client.get("/account/").context["user"]
    assert (grace.username, grace.email, grace.has_usable_password()) == ("grace", "grace@example.org", False)


def test_who_comes_again_is_the_same_person_whatever_their_name_is_now(provider):
    know(provider, "g1", preferred_username="grace")
    come_back(Client(), "g1")
    know(provider, "g1", preferred_username="hopper")
    come_back(Client(), "g1")
    assert User.objects.count() == 1


def test_a_name_that_is_taken_here_opens_nobody_elses_account(client: Client, provider, ada):
    know(provider, "a2", preferred_username="ada", email="ada@example.org")
    come_back(client, "a2")
    assert client.get("/account/").context["user"] != ada


def test_neither_does_an_address_that_is_taken_here(client: Client, provider, ada):
    User.objects.update(email="ada@example.org")
    know(provider, "a3", preferred_username="eve", email="ada@example.org")
    come_back(client, "a3")
    assert client.session.get("_auth_user_id") != str(ada.pk)


def test_where_the_settings_say_no_strangers_stay_outside(client: Client, provider, settings):
    settings.OIDC_CREATES_ACCOUNTS = False
    know(provider, "g1", preferred_username="grace")
    assert "No account can be made here" in come_back(client, "g1").content.decode()
    assert not User.objects.exists()


def test_people_connect_it_to_the_account_they_have(ada_client: Client, provider, settings):
    settings.OIDC_CREATES_ACCOUNTS = False
    ada_client.post("/account/confirm/", {"password": "correct horse"})
    come_back(ada_client, "a1", start=f"{START}?process=connect")
    come_back(client := Client(), "a1")
    assert client.get("/account/").context["user"].username == "ada"
    acts = AuditEntry.objects.filter(door="page").values_list("act", "actor_name")
    assert list(acts) == [("connected an account elsewhere", "ada")]


def test_a_browser_left_open_connects_nothing(ada_client: Client, provider):
    assert come_back(ada_client, "a1", start=f"{START}?process=connect")["Location"].startswith("/account/confirm/")


def test_an_answer_that_nobody_asked_for_is_refused(client: Client, provider):
    assert client.get(f"{CALLBACK}?code=x&state=y").status_code == 401
    assert not User.objects.exists()


def test_a_code_of_somebodys_invention_is_refused(client: Client, provider):
    there = client.get(START)["Location"]
    state = dict(pair.split("=", 1) for pair in urlsplit(there).query.split("&"))["state"]
    assert client.get(f"{CALLBACK}?code=invented&state={state}").status_code == 401
    assert not User.objects.exists()


def test_a_provider_that_is_away_is_said_to_be_away(client: Client, settings):
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app("http://localhost:1")]}}
    page = client.get(START)
    assert page.status_code == 502
    assert "not reachable" in page.content.decode()


def test_signing_in_so_is_in_the_audit_log(client: Client, provider):
    know(provider, "g1", preferred_username="grace")
    come_back(client, "g1")
    acts = AuditEntry.objects.order_by("pk").values_list("act", "object_name")
    assert list(acts) == [("signed up", "grace"), ("signed in", "grace")]
