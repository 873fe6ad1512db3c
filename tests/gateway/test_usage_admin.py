"""API keys and usage records, as people and administrators handle them in the browser."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from gateway.issuing import issue_key, rotate_key
from gateway.models import APIKey, UsageRecord
from protocol.tokens import hash_token

ADD = "/admin/gateway/apikey/add/"


@pytest.fixture
def browser() -> Client:
    return Client()


@pytest.fixture
def form(admin_user) -> dict[str, object]:
    return {"name": "nightly report", "owner": admin_user.pk, "scopes": ["inference"], "valid_for": "90"}


def shown_key(page: str) -> str:
    return re.search(r"sk-flt-\w+", page)[0]


def test_the_key_that_is_shown_is_the_key_that_was_issued(admin_client: Client, form):
    page = admin_client.post(ADD, form).content.decode()
    assert APIKey.objects.get().key_hash == hash_token(shown_key(page))


def test_the_snippets_name_this_server_as_its_visitor_reached_it(admin_client: Client, form):
    page = admin_client.post(ADD, form, headers={"host": "llm.example"}, secure=True).content.decode()
    assert ("curl https://llm.example/v1/chat/completions" in page, 'base_url="https://llm.example/v1"' in page) == (
        True,
        True,
    )


def test_the_key_is_written_nowhere_and_never_shown_again(admin_client: Client, form):
    key = shown_key(admin_client.post(ADD, form).content.decode())
    rows = [*APIKey.objects.values_list(), *LogEntry.objects.values_list()]
    sessions = [session.get_decoded() for session in Session.objects.all()]
    change = reverse("admin:gateway_apikey_change", args=[APIKey.objects.get().pk])
    pages = [reverse("admin:gateway_apikey_changelist"), change, "/keys/"]
    later = [admin_client.get(page).content.decode() for page in pages]
    assert key not in f"{rows} {sessions} {later}"


def test_no_cache_keeps_the_page_with_the_key(admin_client: Client, form):
    assert "no-store" in admin_client.post(ADD, form)["Cache-Control"]


@pytest.mark.parametrize(("days", "lifetime"), [("30", timedelta(days=30)), ("0", None)])
def test_a_key_lives_as_long_as_was_chosen(admin_client: Client, form, days, lifetime):
    admin_client.post(ADD, form | {"valid_for": days})
    expires_at = APIKey.objects.get().expires_at
    assert expires_at is None if lifetime is None else abs(expires_at - now() - lifetime) < timedelta(minutes=5)


def test_a_key_is_revoked_once_confirmed(admin_client: Client, admin_user):
    key, _ = issue_key(admin_user, "old")
    url = f"/admin/gateway/apikey/{key.pk}/revoke/"
    admin_client.get(url)
    asked = APIKey.objects.get().revoked_at
    admin_client.post(url, {"_form_submitted": "on"})
    assert (asked, APIKey.objects.get().revoked_at is not None) == (None, True)


def test_a_key_cannot_be_deleted_or_given_away(admin_client: Client, admin_user, django_user_model):
    key, _ = issue_key(admin_user, "old")
    other = django_user_model.objects.create_user("tom")
    admin_client.post(reverse("admin:gateway_apikey_delete", args=[key.pk]), {"post": "yes"})
    admin_client.post(
        reverse("admin:gateway_apikey_change", args=[key.pk]),
        {"name": "new", "owner": other.pk, "scopes": ["inference"]},
    )
    key.refresh_from_db()
    assert (key.name, key.owner) == ("new", admin_user)


def test_a_user_takes_their_keys_along(admin_client: Client, django_user_model):
    tom = django_user_model.objects.create_user("tom")
    issue_key(tom, "old")
    admin_client.post(reverse("admin:accounts_user_delete", args=[tom.pk]), {"post": "yes"})
    assert not APIKey.objects.exists()


def test_people_issue_keys_of_their_own(browser: Client, django_user_model):
    maria = django_user_model.objects.create_user("maria")
    browser.force_login(maria)
    page = browser.post("/keys/", {"name": "script", "valid_for": "30"}).content.decode()
    assert APIKey.objects.get(owner=maria).key_hash == hash_token(shown_key(page))


@pytest.mark.parametrize("path", ["/keys/", "/admin/gateway/apikey/"])
def test_an_expired_key_is_not_called_usable(admin_client: Client, admin_user, path):
    issue_key(admin_user, "old", now() - timedelta(days=1))
    page = admin_client.get(path).content.decode()
    assert (">expired<" in page, ">usable<" in page) == (True, False)


def test_people_revoke_their_own_keys_only(browser: Client, django_user_model, admin_user):
    maria = django_user_model.objects.create_user("maria")
    own, others = issue_key(maria, "own")[0], issue_key(admin_user, "others")[0]
    browser.force_login(maria)
    answers = [browser.post(f"/keys/{key.pk}/revoke/").status_code for key in (own, others)]
    assert (answers, APIKey.objects.get(revoked_at=None)) == ([302, 404], others)


def test_nobody_sees_the_keys_of_others(browser: Client, django_user_model, admin_user):
    issue_key(admin_user, "secret name")
    browser.force_login(django_user_model.objects.create_user("maria"))
    assert b"secret name" not in browser.get("/keys/").content


def test_records_can_be_found_by_their_request_id_and_not_changed(admin_client: Client):
    for number in range(3):
        UsageRecord.objects.create(request_id=f"req-{number}", created_at=now(), state="failed", error_code="boom")
    found = admin_client.get("/admin/gateway/usagerecord/?q=req-1").context["cl"].result_list
    record = UsageRecord.objects.get(request_id="req-1")
    change = admin_client.post(reverse("admin:gateway_usagerecord_change", args=[record.pk]), {"prompt_tokens": 0})
    assert ([row.request_id for row in found], change.status_code) == (["req-1"], 403)


def test_the_list_of_records_counts_nothing(admin_client: Client, django_assert_max_num_queries):
    UsageRecord.objects.create(request_id="req-1", created_at=now(), state="complete")
    with django_assert_max_num_queries(9) as queries:
        admin_client.get("/admin/gateway/usagerecord/")
    assert not [q["sql"] for q in queries.captured_queries if "COUNT(" in q["sql"] and "usagerecord" in q["sql"]]


def test_a_key_is_rotated_and_its_new_secret_shown_once(admin_client: Client, admin_user):
    key, before = issue_key(admin_user, "laptop")
    page = admin_client.post(f"/admin/gateway/apikey/{key.pk}/rotate/", {"grace": "24"}).content.decode()
    key.refresh_from_db()
    assert (key.key_hash, key.previous_hash) == (hash_token(shown_key(page)), hash_token(before))
    assert key.previous_expires_at - now() > timedelta(hours=23)


def test_a_click_disables_a_key_and_another_enables_it(admin_client: Client, admin_user):
    key, _ = issue_key(admin_user, "laptop")
    states = []
    for act in ("disable", "enable"):
        admin_client.post(f"/admin/gateway/apikey/{key.pk}/{act}/", {"_form_submitted": "on"})
        states.append(APIKey.objects.get().state)
    assert states == ["disabled", "usable"]


def test_terms_are_set_where_the_key_is_issued_and_named_where_they_are_wrong(admin_client: Client, form):
    wrong = admin_client.post(ADD, form | {"networks": "10.0.0.0/8, home", "allowed_models": "a|b"})
    assert set(wrong.context["adminform"].form.errors) == {"networks", "allowed_models"}
    admin_client.post(ADD, form | {"networks": "10.0.0.0/8 192.168.1.7", "allowed_models": "qwen-*, team/one"})
    key = APIKey.objects.get()
    assert (key.networks, key.allowed_models) == (["10.0.0.0/8", "192.168.1.7"], ["qwen-*", "team/one"])


def test_saving_a_key_leaves_a_rotation_alone_that_came_in_between(admin_client: Client, admin_user):
    key, _ = issue_key(admin_user, "laptop")
    url = reverse("admin:gateway_apikey_change", args=[key.pk])
    secret = rotate_key(key, timedelta(hours=1))
    admin_client.post(url, {"name": "desktop", "scopes": ["usage"]})
    key.refresh_from_db()
    assert (key.name, key.scopes, key.key_hash) == ("desktop", ["usage"], hash_token(secret))
