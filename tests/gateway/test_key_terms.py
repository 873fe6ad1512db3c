"""What a key may do, from where, and with which of its secrets."""

from datetime import timedelta

import openai
import pytest
from django.core.exceptions import ValidationError
from django.utils.timezone import now

from accounts.models import Team
from gateway.issuing import disable_key, enable_key, end_rotation, issue_key, rotate_key
from gateway.keyring import read_keyring
from gateway.ledger import store_entries
from gateway.models import APIKey, KeyScope
from tests.gateway.conftest import HELLO, post, the_record
from tests.gateway.test_journal import entry

ASKED = {"model": "fake-1", "messages": HELLO}


@pytest.fixture
def status(gateway):
    """Of a chat with the key with this text, and the error's code."""

    def of_call(text: str, **headers: str) -> tuple[int, str | None]:
        gateway.refresh()
        answer = post(gateway, text, "/chat/completions", ASKED, **headers)
        return answer.status_code, answer.json().get("error", {}).get("code")

    return of_call


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [([], 200), (["fake-1"], 200), (["other", "fake-*"], 200), (["fake"], 404), (["other"], 404)],
)
def test_a_key_calls_the_models_that_it_may(status, user, patterns, expected):
    _, text = issue_key(user, "narrow", allowed_models=patterns)
    assert status(text) == (expected, None if expected == 200 else "model_not_found")


def test_a_key_is_shown_only_the_models_that_it_may_call(gateway, user):
    _, text = issue_key(user, "narrow", allowed_models=["other"])
    gateway.refresh()
    with openai.OpenAI(base_url=gateway.url, api_key=text, max_retries=0) as client:
        assert list(client.models.list()) == []
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("fake-1")


@pytest.mark.parametrize(
    ("networks", "expected"),
    [(["127.0.0.0/8"], (200, None)), (["10.0.0.0/8", "::1/128"], (401, "ip_not_authorized"))],
)
def test_a_key_is_good_within_its_networks_only(status, user, networks, expected):
    _, text = issue_key(user, "office", networks=networks)
    assert status(text) == expected


def test_a_key_for_reading_usage_calls_no_model(status, user):
    _, text = issue_key(user, "dashboard", scopes=[KeyScope.USAGE])
    assert status(text) == (403, "permission_denied")


def test_a_disabled_key_is_refused_until_it_is_enabled_again(status, user):
    key, text = issue_key(user, "laptop")
    disable_key(key)
    disabled = status(text)
    enable_key(key)
    assert (disabled, status(text)) == ((401, "invalid_api_key"), (200, None))


def test_both_secrets_of_a_rotated_key_open_until_the_grace_is_over(user, time_machine):
    key, before = issue_key(user, "laptop")
    after = rotate_key(key, timedelta(hours=1))
    keyring = read_keyring()
    assert [keyring.entry(text).caller.key_id for text in (before, after)] == [key.pk, key.pk]
    time_machine.move_to(now() + timedelta(minutes=61))
    assert [keyring.entry(before), keyring.entry(after).caller.key_id] == [None, key.pk]


def test_a_rotation_without_grace_or_ended_early_leaves_one_secret(user):
    key, first = issue_key(user, "laptop")
    second = rotate_key(key, timedelta(0))
    key.refresh_from_db()
    third = rotate_key(key, timedelta(hours=1))
    key.refresh_from_db()
    assert end_rotation(key)
    keyring = read_keyring()
    assert [keyring.entry(text) is not None for text in (first, second, third)] == [False, False, True]


def test_of_two_who_rotate_at_once_one_is_told_so(user):
    key, _ = issue_key(user, "laptop")
    mine, theirs = APIKey.objects.get(pk=key.pk), APIKey.objects.get(pk=key.pk)
    assert rotate_key(theirs, timedelta(hours=1))
    assert rotate_key(mine, timedelta(hours=1)) is None


def test_a_key_says_when_and_from_where_it_was_last_used(client, user):
    client.chat.completions.create(model="fake-1", messages=HELLO)
    record, key = the_record(), APIKey.objects.get(name="laptop")
    assert (key.last_used_at, key.last_used_from) == (record.created_at, "127.0.0.1")
    assert key.previous_used_at is None


def test_the_use_of_the_secret_before_is_told_apart(status, user):
    key, before = issue_key(user, "old")
    rotate_key(key, timedelta(hours=1))
    status(before)
    record = the_record()
    assert APIKey.objects.get(pk=key.pk).previous_used_at == record.created_at


def test_an_address_that_is_none_does_not_stop_the_ledger(user, transactional_db):
    key, _ = issue_key(user, "laptop")
    store_entries([entry(key_id=key.pk, address="\0" + "9" * 100)])
    assert APIKey.objects.get(pk=key.pk).last_used_from == "9" * 45


def test_a_key_counts_for_its_own_team_before_its_owners(user):
    owners, own = Team.objects.create(name="research", weight=3), Team.objects.create(name="product", weight=5)
    user.team = owners
    user.save()
    texts = [issue_key(user, "inherits")[1], issue_key(user, "lent", team=own)[1]]
    callers = [read_keyring().entry(text).caller for text in texts]
    assert [(caller.team_id, caller.weight) for caller in callers] == [(owners.pk, 3), (own.pk, 5)]


@pytest.mark.parametrize(
    ("field", "value"),
    [("networks", ["10.0.0.1/8"]), ("networks", "all"), ("networks", [1.5]), ("allowed_models", ["a b"])],
)
def test_what_is_no_network_or_no_name_is_refused_by_field(user, field, value):
    key, _ = issue_key(user, "laptop")
    setattr(key, field, value)
    with pytest.raises(ValidationError) as refused:
        key.full_clean()
    assert list(refused.value.message_dict) == [field]
