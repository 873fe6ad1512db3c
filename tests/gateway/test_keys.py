"""Who may call: keys take force and lose it within a second, and guessing makes the database work for nobody."""

from datetime import timedelta

import openai
import pytest
from django.utils.timezone import now

from gateway import runtime
from gateway.issuing import issue_key, revoke_key
from gateway.keyring import read_keyring
from gateway.models import APIKey, KeyScope
from protocol.tokens import TokenKind, make_token
from tests.gateway.conftest import HELLO, post, wait_until


@pytest.fixture
def call(gateway):
    """Calls with the given key; the models' ids, or the status that it was refused with."""

    def listed(key: str) -> list[str] | int:
        with openai.OpenAI(base_url=gateway.url, api_key=key, max_retries=0, timeout=30) as client:
            try:
                return [model.id for model in client.models.list()]
            except openai.AuthenticationError as refused:
                return refused.status_code

    return listed


@pytest.mark.parametrize(
    "key", ["sk-flt-guess", "x", make_token(TokenKind.API_KEY)], ids=["guessed", "short", "unknown"]
)
def test_an_unknown_key_is_refused(call, key):
    assert call(key) == 401


def test_a_call_without_a_key_is_told_how_to_send_one(client):
    with pytest.raises(openai.AuthenticationError) as refused:
        client.models.list(extra_headers={"Authorization": openai.Omit()})
    assert "Authorization: Bearer" in refused.value.message
    assert refused.value.code == "invalid_api_key"
    assert refused.value.response.headers["WWW-Authenticate"] == "Bearer"


def test_a_new_key_opens_at_once(call, user):
    _, text = issue_key(user, "phone")
    assert call(text) == ["fake-1"]


def test_a_revoked_key_is_refused_soon(call, key):
    assert revoke_key(APIKey.objects.get())
    wait_until(lambda: call(key) == 401)


def test_revoking_twice_does_nothing_the_second_time(key):
    revoke_key(APIKey.objects.get())
    assert not revoke_key(APIKey.objects.get())


def test_the_key_of_somebody_who_left_is_refused(call, key, user, gateway):
    user.is_active = False
    user.save()
    gateway.refresh()
    assert call(key) == 401


def test_a_key_expires_between_two_readings_of_the_database(user, time_machine):
    _, text = issue_key(user, "short", expires_at=now() + timedelta(seconds=60))
    keyring = read_keyring()
    time_machine.move_to(now() + timedelta(seconds=61))
    assert keyring.entry(text) is None


def test_only_the_hash_of_a_key_is_kept(key):
    (row,) = APIKey.objects.values()
    assert key not in str(row)


@pytest.fixture
def readings(gateway, monkeypatch) -> list[int]:
    """An entry for each time that the poller would have read the database, from now on."""
    made: list[int] = []
    monkeypatch.setattr(runtime.current().poller, "refresh", lambda: made.append(1))
    wait_until(lambda: made)
    return made


def test_a_guessed_key_asks_the_database_nothing(call, readings, settings):
    # The poller goes on at its own pace, and no faster.
    settings.SNAPSHOT_INTERVAL = timedelta(hours=1)
    before = len(readings)
    wait_until(lambda: len(readings) > before)
    readings.clear()
    for _ in range(20):
        call("sk-flt-guess")
    assert readings == []


def test_before_any_key_could_be_read_nobody_is_told_that_theirs_is_wrong(client, readings, monkeypatch):
    monkeypatch.setattr(runtime.current().poller, "has_read", False)
    with pytest.raises(openai.InternalServerError) as refused:
        client.models.list()
    assert (refused.value.status_code, refused.value.code) == (503, "not_ready")


def test_keys_stay_in_force_while_the_database_is_away(gateway, call, key, monkeypatch):
    failures = []

    def fail() -> None:
        failures.append(1)
        raise OSError("no database")

    monkeypatch.setattr(runtime.current().poller, "refresh", fail)
    wait_until(lambda: len(failures) > 1)
    assert call(key) == ["fake-1"]


def test_a_key_that_manages_the_fleet_does_not_call_models(gateway, user):
    _, text = issue_key(user, "terraform", scopes=[KeyScope.FLEET])
    gateway.refresh()
    refused = post(gateway, text, "/chat/completions", {"model": "fake-1", "messages": HELLO})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
