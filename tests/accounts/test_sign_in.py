"""Signing in, and the choices kept for a visitor."""

import pytest
from django.http import HttpResponse
from django.test import Client

from audit.models import AuditEntry

pytestmark = pytest.mark.django_db


def sign_in(client: Client, password: str = "correct horse") -> HttpResponse:
    return client.post("/login/", {"login": "ada", "password": password})


def test_a_wrong_password_is_answered_with_a_reason_and_without_a_session(client: Client, ada):
    page = client.post("/login/", {"login": "ada", "password": "wrong"})
    assert b'role="alert"' in page.content
    assert "_auth_user_id" not in client.session


def test_the_right_password_leads_to_where_the_visitor_wanted_to_go(client: Client, ada):
    answer = client.post("/login/", {"login": "ada", "password": "correct horse", "next": "/usage/"})
    assert answer["Location"] == "/usage/"


def test_signing_in_never_leads_to_another_site(client: Client, ada):
    answer = client.post("/login/", {"login": "ada", "password": "correct horse", "next": "https://evil.example/"})
    assert answer["Location"] == "/"


def test_an_account_that_is_switched_off_is_told_so_by_its_password_only(client: Client, ada):
    type(ada).objects.update(is_active=False)
    assert sign_in(client, "wrong").status_code == 200
    assert sign_in(client)["Location"] == "/inactive/"


def test_admin_has_the_same_door(client: Client):
    assert client.get("/admin/", follow=True).redirect_chain[-1][0] == "/login/?next=%2Fadmin%2F"


def test_people_change_their_own_password_and_stay_signed_in(ada_client: Client):
    words = {"oldpassword": "correct horse", "password1": "battery staple", "password2": "battery staple"}
    assert ada_client.post("/account/password/", words)["Location"] == "/account/"
    assert ada_client.get("/account/").status_code == 200
    assert sign_in(Client(), "battery staple").status_code == 302
    assert AuditEntry.objects.filter(act="changed the password", actor_name="ada").exists()


def test_the_pages_of_sign_in_speak_chinese(client: Client, ada):
    client.cookies["django_language"] = "zh-hans"
    assert "用户名或密码" in sign_in(client, "wrong").content.decode()


def test_signing_out_needs_a_form_not_a_link(client: Client, ada):
    client.force_login(ada)
    assert client.get("/logout/").status_code == 405


def test_the_chosen_theme_is_on_every_later_page(client: Client):
    client.post("/theme/", {"theme": "dark", "next": "/login/"})
    assert b'data-theme="dark"' in client.get("/login/").content


def test_as_the_system_forgets_the_chosen_theme(client: Client):
    client.post("/theme/", {"theme": "dark"})
    client.post("/theme/", {"theme": "system"})
    assert b'<html lang="en">' in client.get("/login/").content


def test_a_theme_of_somebodys_invention_is_not_written_into_the_page(client: Client):
    client.cookies["theme"] = '"><script>'
    assert b"<script>" not in client.get("/login/").content


def test_the_theme_form_goes_back_to_our_pages_only(client: Client):
    assert client.post("/theme/", {"theme": "dark", "next": "//evil.example"})["Location"] == "/"


def test_the_language_is_kept_for_the_visitor(client: Client):
    client.post("/i18n/setlang/", {"language": "zh-hans", "next": "/login/"})
    assert b'lang="zh-hans"' in client.get("/login/").content


def test_an_unknown_address_says_what_may_be_wrong(client: Client):
    page = client.get("/no/such/page/")
    assert page.status_code == 404
    assert "mistyped" in page.content.decode()
