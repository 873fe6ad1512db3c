"""A join token is issued in admin and shown once, as the command to paste."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from fleet.enrolment import usable_join_token
from fleet.errors import JoinTokenRefused
from fleet.models import JoinToken

ADD = "/admin/fleet/jointoken/add/"
FORM = {"name": "rack 4", "valid_for": "24", "max_uses": "1"}


def shown_token(page: str) -> str:
    return re.search(r"--join-token (flt-join-\w+)", page)[1]


def test_the_command_that_is_shown_lets_a_worker_in(admin_client: Client):
    page = admin_client.post(ADD, FORM).content.decode()
    assert usable_join_token(shown_token(page)).name == "rack 4"


def test_the_command_names_this_server_as_its_visitor_reached_it(admin_client: Client):
    page = admin_client.post(ADD, FORM, headers={"host": "fleet.example:8443"}, secure=True).content.decode()
    assert "python -m workers --server https://fleet.example:8443 --listen 0.0.0.0:8100 --join-token flt-join-" in page


def test_the_token_lives_as_long_as_was_chosen(admin_client: Client):
    admin_client.post(ADD, FORM | {"valid_for": "1"})
    assert timedelta(minutes=55) < JoinToken.objects.get().expires_at - now() <= timedelta(hours=1)


def test_the_token_is_written_nowhere(admin_client: Client):
    response = admin_client.post(ADD, FORM)
    token = shown_token(response.content.decode())
    rows = [*JoinToken.objects.values_list(), *LogEntry.objects.values_list()]
    sessions = [session.get_decoded() for session in Session.objects.all()]
    later = admin_client.get(reverse("admin:fleet_jointoken_changelist")).content.decode()
    assert token not in f"{rows} {sessions} {later}"


def test_no_cache_keeps_the_page(admin_client: Client):
    assert "no-store" in admin_client.post(ADD, FORM)["Cache-Control"]


def test_the_page_waits_for_the_worker(admin_client: Client):
    page = admin_client.post(ADD, FORM).content.decode()
    assert f'data-live="arrivals:{JoinToken.objects.get().pk}"' in page


def test_a_revoked_token_lets_nobody_in(admin_client: Client):
    token = shown_token(admin_client.post(ADD, FORM).content.decode())
    admin_client.post(f"/admin/fleet/jointoken/{JoinToken.objects.get().pk}/revoke/", {"_form_submitted": "on"})
    with pytest.raises(JoinTokenRefused, match="revoked"):
        usable_join_token(token)


def test_only_the_name_of_an_issued_token_can_be_edited(admin_client: Client):
    admin_client.post(ADD, FORM)
    token = JoinToken.objects.get()
    admin_client.post(reverse("admin:fleet_jointoken_change", args=[token.pk]), {"max_uses": "99", "name": "mine"})
    token.refresh_from_db()
    assert (token.name, token.max_uses) == ("mine", 1)
