"""The terms of use: accepted once, before anything else works, and anew when they change."""

import pytest
from channels.testing import WebsocketCommunicator
from django.test import AsyncClient, Client

from accounts.models import Terms, User
from audit.models import AuditEntry
from config.asgi import websockets

ADD = "/admin/accounts/terms/add/"


@pytest.fixture
def terms(db) -> Terms:
    return Terms.objects.create(text="Be kind.\n\nSee https://rules.example/ <b>too</b>.")


def accept(client: Client, terms: Terms, **words: str):
    return client.post("/terms/", {"accepted": "on", "version": terms.pk, "next": "/usage/"} | words)


@pytest.mark.parametrize("path", ["/", "/usage/", "/keys/", "/account/"])
def test_whoever_has_not_accepted_is_shown_the_terms_whatever_they_ask_for(ada_client: Client, terms, path):
    assert ada_client.get(path)["Location"].startswith("/terms/?next=")


def test_nothing_can_be_done_past_them_either(ada_client: Client, terms):
    assert ada_client.post("/keys/", {"name": "k", "valid_for": "30"})["Location"] == "/terms/?next=%2F"
    assert ada_client.get("/api/fleet/v1/models").status_code == 403


def test_administrators_are_asked_as_well(admin_client: Client, terms):
    assert admin_client.get("/admin/")["Location"] == "/terms/?next=%2Fadmin%2F"


def test_accepting_leads_to_where_one_wanted_to_go_and_holds(ada_client: Client, terms):
    assert accept(ada_client, terms)["Location"] == "/usage/"
    assert ada_client.get("/usage/").status_code == 200


def test_accepting_leads_to_no_other_site(ada_client: Client, terms):
    assert accept(ada_client, terms, next="https://evil.example/")["Location"] == "/"


def test_without_the_tick_nothing_is_accepted(ada_client: Client, terms):
    accept(ada_client, terms, accepted="")
    assert ada_client.get("/usage/").status_code == 302


def test_what_changed_meanwhile_is_shown_before_it_counts_as_accepted(ada_client: Client, terms):
    Terms.objects.create(text="Be kinder.")
    assert b"Be kinder." in accept(ada_client, terms).content
    assert ada_client.get("/usage/").status_code == 302


def test_a_new_version_asks_again(ada_client: Client, terms, admin_client: Client):
    accept(ada_client, terms)
    accept(admin_client, terms)
    assert "Be kind." in admin_client.get(ADD).content.decode()
    admin_client.post(ADD, {"text": "Be kinder."})
    assert ada_client.get("/usage/").status_code == 302


def test_an_empty_version_asks_nobody_any_more(ada_client: Client, terms):
    Terms.objects.create(text="")
    assert ada_client.get("/usage/").status_code == 200


def test_one_can_leave_without_accepting(ada_client: Client, terms):
    assert ada_client.post("/logout/").status_code == 302
    assert ada_client.get("/login/").status_code == 200


def test_the_text_is_text_with_its_addresses_as_links(ada_client: Client, terms):
    page = ada_client.get("/terms/").content.decode()
    assert '<a href="https://rules.example/"' in page
    assert "<b>too</b>" not in page


def test_who_accepted_which_version_is_in_the_audit_log(ada_client: Client, terms):
    accept(ada_client, terms)
    accept(ada_client, terms)
    entries = AuditEntry.objects.filter(act="accepted the terms of use").values_list("actor_name", "object_id")
    assert list(entries) == [("ada", str(terms.pk))]


def test_a_version_is_never_changed(admin_client: Client, terms):
    accept(admin_client, terms)
    admin_client.post(f"/admin/accounts/terms/{terms.pk}/change/", {"text": "Anything goes."})
    assert Terms.objects.get().text.startswith("Be kind.")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_accepted", [True, False])
async def test_no_socket_opens_before_they_are_accepted(async_client: AsyncClient, has_accepted):
    newest = await Terms.objects.acreate(text="Be kind.")
    root = await User.objects.acreate_superuser("root", accepted_terms=newest if has_accepted else None)
    await async_client.aforce_login(root)
    cookie = f"sessionid={async_client.cookies['sessionid'].value}".encode()
    socket = WebsocketCommunicator(websockets, "/ws/fleet/", headers=[(b"cookie", cookie), (b"host", b"testserver")])
    opened, _ = await socket.connect(timeout=60)
    assert opened == has_accepted
    await socket.disconnect(timeout=30)
