"""Where administrators ask for a second factor, nothing else works for who has none."""

import pytest
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from channels.testing import WebsocketCommunicator
from django.test import AsyncClient, Client
from django.utils.timezone import now

from accounts.models import SignInRules, User
from config.asgi import websockets

ADD = "/admin/accounts/signinrules/add/"


@pytest.fixture
def ask_of(db):
    def make(who: str) -> SignInRules:
        return SignInRules.objects.create(second_factor_for=who)

    return make


@pytest.mark.parametrize("path", ["/", "/usage/", "/keys/", "/account/password/"])
def test_whoever_has_none_is_led_to_where_one_is_added(ada_client: Client, ask_of, path):
    ask_of("everybody")
    assert ada_client.get(path)["Location"].startswith("/account/?next=")
    assert "ask for a second factor" in ada_client.get("/account/").content.decode()


def test_programs_that_come_with_a_session_are_told(ada_client: Client, ask_of):
    ask_of("everybody")
    refused = ada_client.get("/api/fleet/v1/models")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "second_factor_required")


def test_adding_one_opens_everything(ada_client: Client, ask_of, time_machine):
    time_machine.move_to(now(), tick=False)  # a code lives for half a minute, and then for another that begins anew
    ask_of("everybody")
    ada_client.post("/account/confirm/", {"password": "correct horse"})
    secret = ada_client.get("/account/app/").context["form"].secret
    code = format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))
    ada_client.post("/account/app/", {"code": code})
    assert ada_client.get("/usage/").status_code == 200


@pytest.mark.parametrize(
    ("who", "is_staff", "status"),
    [("staff", False, 200), ("staff", True, 302), ("everybody", False, 302), ("nobody", True, 200)],
)
def test_it_is_asked_of_whom_the_rule_names(ada_client: Client, ask_of, who, is_staff, status):
    ask_of(who)
    User.objects.update(is_staff=is_staff)
    assert ada_client.get("/usage/").status_code == status


def test_who_has_one_notices_nothing(ada_client: Client, ada, ask_of):
    TOTP.activate(ada, generate_totp_secret())
    ask_of("everybody")
    assert ada_client.get("/usage/").status_code == 200


def test_a_superuser_who_asks_for_it_is_the_first_to_be_asked(admin_client: Client, db):
    admin_client.post(ADD, {"second_factor_for": "staff"})
    assert SignInRules.objects.get().second_factor_for == "staff"
    assert admin_client.get("/admin/")["Location"] == "/account/?next=%2Fadmin%2F"


def test_there_is_one_set_of_rules(admin_client: Client, ask_of):
    ask_of("nobody")
    assert admin_client.get(ADD).status_code == 403


@pytest.mark.django_db(transaction=True)
async def test_live_connections_stay_closed_as_well(async_client: AsyncClient, ada):
    await SignInRules.objects.acreate(second_factor_for="everybody")
    await async_client.aforce_login(ada)
    cookie = f"sessionid={async_client.cookies['sessionid'].value}".encode()
    socket = WebsocketCommunicator(websockets, "/ws/chat/", headers=[(b"cookie", cookie)])
    is_open, _ = await socket.connect(timeout=30)
    assert not is_open
