"""Every page of admin opens, in both languages, under a policy that lets no inline script run."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

PAGES = sorted(
    reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in admin.site._registry
)
ADD_PAGES = [
    "accounts/user",
    "auth/group",
    "django_celery_beat/crontabschedule",
    "django_celery_beat/intervalschedule",
    "django_celery_beat/periodictask",
    "fleet/deployment",
    "fleet/jointoken",
    "fleet/languagemodel",
    "fleet/provider",
    "gateway/apikey",
    "gateway/contentpolicy",
    "gateway/route",
]


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("path", ["/admin/", *PAGES, *(f"/admin/{page}/add/" for page in ADD_PAGES)])
def test_the_page_opens(admin_client: Client, path, language):
    assert admin_client.get(path, headers={"accept-language": language}).status_code == 200


def test_every_scheduled_task_can_be_edited(admin_client: Client):
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects.all()
    pages = [admin_client.get(reverse("admin:django_celery_beat_periodictask_change", args=[t.pk])) for t in tasks]
    assert {page.status_code for page in pages} == {200}


def test_admin_may_evaluate_its_attributes_but_runs_no_inline_script(admin_client: Client):
    scripts = policy(admin_client.get("/admin/"))["script-src"]
    assert scripts == ["'self'", "'unsafe-eval'"]


def test_other_pages_have_the_strict_policy(admin_client: Client):
    directives = policy(admin_client.get("/usage/"))
    assert (directives["script-src"], directives["style-src"]) == (["'self'"], ["'self'"])


def test_what_was_said_in_a_chat_is_not_shown_to_administrators(admin_client: Client, admin_user):
    conversation = apps.get_model("chat", "Conversation").objects.create(owner=admin_user, title="my secret", model="m")
    pages = [
        reverse("admin:chat_conversation_changelist"),
        reverse("admin:chat_conversation_change", args=[conversation.pk]),
    ]
    assert not any(b"my secret" in admin_client.get(page).content for page in pages)


def policy(response) -> dict[str, list[str]]:
    directives = (part.split() for part in response["Content-Security-Policy"].split(";"))
    return {name: values for name, *values in directives}
