"""Why a key can, or cannot, call a model: the page says what the call itself then meets."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils.timezone import now

from accounts.models import Team
from gateway.issuing import disable_key, issue_key
from gateway.models import APIKey, KeyScope, Route, UsageRecord
from tests.gateway.conftest import HELLO, give_places, post
from tests.gateway.fake_replica import one_word_then_wait

WHY = "/admin/gateway/apikey/why/"
ASKED = {"model": "fake-1", "messages": HELLO, "max_tokens": 1}


@pytest.fixture
def issue(user):
    """A key with these terms, and its text."""

    def make(**terms: object) -> tuple[APIKey, str]:
        return issue_key(user, "nightly", **terms)

    return make


@pytest.fixture
def ask(gateway, admin_client: Client):
    """The page's answer: what the call is told, and each condition with its outcome."""

    def get(key: APIKey, model: str = "fake-1", **more: object):
        gateway.refresh()
        page = admin_client.get(WHY, {"key": key.pk, "model": model, **more})
        told = page.context["refusal"]
        lines = [(str(line["condition"]), str(line["outcome"])) for line in page.context["lines"]]
        return (told.status, told.code) if told else None, lines

    return get


def test_a_key_that_can_is_told_so_and_nothing_is_used_up(ask, issue, gateway):
    key, text = issue(max_requests_per_minute=1, max_parallel_requests=1, max_tokens_per_day=10_000)
    for _ in range(2):
        told, lines = ask(key)
        assert told is None
        assert {outcome for _, outcome in lines} == {"yes"}
    assert post(gateway, text, "/chat/completions", ASKED).status_code == 200


def is_disabled(key: APIKey) -> None:
    disable_key(key)


def is_expired(key: APIKey) -> None:
    APIKey.objects.filter(pk=key.pk).update(expires_at=now() - timedelta(seconds=1))


def has_left(key: APIKey) -> None:
    key.owner.is_active = False
    key.owner.save()


@pytest.mark.parametrize("befall", [is_disabled, is_expired, has_left])
def test_a_key_out_of_force_is_found_first_and_the_rest_is_told_too(ask, issue, gateway, befall):
    key, text = issue()
    befall(key)
    told, lines = ask(key)
    assert told == (401, "invalid_api_key")
    assert [outcome for _, outcome in lines] == ["no", "yes", "yes", "yes", "yes", "yes", "yes"]
    assert post(gateway, text, "/chat/completions", ASKED).json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("terms", "refused_at", "expected"),
    [
        ({"networks": ["10.0.0.0/8"]}, "The address is in the key’s networks", (401, "ip_not_authorized")),
        ({"scopes": [KeyScope.USAGE]}, "The key is good for calling models", (403, "permission_denied")),
        ({"allowed_models": ["gpt-*"]}, "The name is among the key’s allowed models", (404, "model_not_found")),
    ],
)
def test_each_term_of_a_key_is_named_and_the_call_meets_the_same(ask, issue, gateway, terms, refused_at, expected):
    key, text = issue(**terms)
    told, lines = ask(key, address="127.0.0.1")
    assert (told, [condition for condition, outcome in lines if outcome == "no"]) == (expected, [refused_at])
    answer = post(gateway, text, "/chat/completions", ASKED)
    assert (answer.status_code, answer.json()["error"]["code"]) == expected


def test_without_an_address_its_networks_are_left_open(ask, issue):
    key, _ = issue(networks=["10.0.0.0/8"])
    told, lines = ask(key)
    assert (told, lines[1][1]) == (None, "not asked")


def test_a_limit_of_the_team_that_is_used_up_is_found(ask, issue, gateway):
    key, text = issue(team=Team.objects.create(name="research", max_requests_per_minute=1))
    gateway.refresh()
    post(gateway, text, "/chat/completions", ASKED)
    told, lines = ask(key)
    assert (told, dict(lines)["Limits"]) == ((429, "rate_limit_exceeded"), "no")


def test_a_budget_is_judged_by_the_size_of_the_answer(ask, issue):
    key, _ = issue(max_tokens_per_day=100)
    APIKey.objects.filter(pk=key.pk).update(max_tokens_per_day=1)
    small, _ = ask(key)
    assert small is None


def test_a_name_that_stands_for_nothing_is_found(ask, issue):
    told, lines = ask(issue()[0], model="no-such")
    assert told == (404, "model_not_found")
    assert dict(lines)["The name stands for a model"] == "no"
    assert dict(lines)["A replica can answer"] == "not asked"


def test_a_route_for_others_does_not_exist_for_this_key(ask, issue, replica, django_user_model):
    route = Route.objects.create(name="inner")
    target = route.targets.create(model=replica.deployment.model, weight=1)
    target.users.add(django_user_model.objects.create_user("grace"))
    assert ask(issue()[0], model="inner")[0] == (404, "model_not_found")


def test_a_model_of_which_no_replica_is_ready_is_found(ask, issue, replica, gateway):
    replica.delete()
    gateway.refresh()
    told, lines = ask(issue()[0])
    assert told in [(503, "no_replica_ready"), None]
    assert dict(lines)["A replica can answer"] in ("no", "after a wait")


def test_a_call_that_would_wait_is_told_so(ask, issue, gateway, fake, client):
    give_places(1)
    gateway.refresh()
    fake.behave = one_word_then_wait
    with client.chat.completions.create(model="fake-1", messages=HELLO, stream=True) as stream:
        next(iter(stream))
        told, lines = ask(issue()[0])
    assert (told, dict(lines)["A replica can answer"]) == (None, "after a wait")


def test_asking_leaves_no_record(ask, issue):
    ask(issue()[0])
    assert not UsageRecord.objects.exists()


def test_only_those_who_may_see_keys_may_ask(gateway, user):
    user.is_staff = True
    user.save()
    browser = Client()
    browser.force_login(user)
    assert browser.get(WHY).status_code == 403


def test_what_is_no_address_is_named(admin_client, gateway, user):
    key, _ = issue_key(user, "nightly")
    page = admin_client.get(WHY, {"key": key.pk, "model": "fake-1", "address": "my desk"})
    assert list(page.context["form"].errors) == ["address"]
