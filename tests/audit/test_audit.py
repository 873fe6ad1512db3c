"""Every administrative act leaves an entry that says who, what, on what, before, after, from where."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.test import AsyncClient, Client
from django.utils.timezone import now

from accounts.models import Team
from audit import tasks
from audit.admin import AuditEntryAdmin
from audit.admin_base import AuditedAdmin
from audit.models import AuditEntry, Door
from audit.states import difference, state_of
from fleet.models import LanguageModel, Worker
from gateway.issuing import issue_key
from gateway.models import KeyScope

pytestmark = pytest.mark.django_db


def the_entry() -> AuditEntry:
    return AuditEntry.objects.latest("pk")


def add_worker(**fields) -> Worker:
    return Worker.objects.create(name="box", address="http://127.0.0.1:1", pinned_ip="127.0.0.1", **fields)


def test_every_page_of_the_admin_is_audited():
    pages = {type(page).__name__ for page in admin.site._registry.values() if not isinstance(page, AuditedAdmin)}
    assert pages == {AuditEntryAdmin.__name__}


def test_a_form_leaves_what_it_changed_and_nothing_else(admin_client: Client, admin_user):
    team = Team.objects.create(name="research")
    form = {"name": "research", "weight": "3", "max_requests_per_minute": "60"}
    admin_client.post(f"/admin/accounts/team/{team.pk}/change/", form, REMOTE_ADDR="10.1.2.3")
    entry = the_entry()
    assert (entry.actor_id, entry.actor_name, entry.door, entry.address) == (
        admin_user.pk,
        "admin",
        "admin",
        "10.1.2.3",
    )
    assert (entry.act, entry.object_kind, entry.object_id, entry.object_name) == (
        "changed",
        "accounts.team",
        str(team.pk),
        "research",
    )
    assert (entry.before, entry.after) == (
        {"weight": 1, "max_requests_per_minute": None},
        {"weight": 3, "max_requests_per_minute": 60},
    )


def test_what_is_added_and_what_is_deleted_is_kept_whole(admin_client: Client):
    admin_client.post("/admin/accounts/team/add/", {"name": "research", "weight": "2"})
    added = the_entry()
    admin_client.post(f"/admin/accounts/team/{added.object_id}/delete/", {"post": "yes"})
    deleted = the_entry()
    assert (added.act, added.after["weight"], deleted.act, deleted.before["name"]) == (
        "added",
        2,
        "deleted",
        "research",
    )


def test_a_click_leaves_what_it_did(admin_client: Client):
    worker = add_worker(credential_hash="x")
    admin_client.post(f"/admin/fleet/worker/{worker.pk}/cordon/", {"_form_submitted": "on"})
    entry = the_entry()
    assert (entry.object_name, entry.before["cordoned"], entry.after["cordoned"]) == ("box", False, True)


def test_rotating_a_key_shows_that_its_secret_changed_and_not_which(admin_client: Client, admin_user):
    key, before = issue_key(admin_user, "laptop")
    page = admin_client.post(f"/admin/gateway/apikey/{key.pk}/rotate/", {"grace": "1"}).content.decode()
    key.refresh_from_db()
    entry = the_entry()
    assert entry.before["key_hash"] != entry.after["key_hash"]
    text = str(AuditEntry.objects.values_list())
    assert not [secret for secret in (before, key.key_hash, key.previous_hash) if secret in text]
    assert "sk-flt-" in page


def test_a_program_that_administers_is_recorded_as_its_owner(client: Client, admin_user):
    _, text = issue_key(admin_user, "terraform", scopes=[KeyScope.FLEET])
    headers = {"authorization": f"Bearer {text}"}
    made = client.post("/api/fleet/v1/models", {"name": "m"}, content_type="application/json", headers=headers)
    pk = made.json()["id"]
    client.patch(f"/api/fleet/v1/models/{pk}", {"description": "d"}, content_type="application/json", headers=headers)
    client.delete(f"/api/fleet/v1/models/{pk}", headers=headers)
    entries = AuditEntry.objects.order_by("pk").values_list("door", "actor_name", "act", "object_id")
    assert list(entries) == [("api", "admin", act, str(pk)) for act in ("create", "partial_update", "destroy")]
    changed = AuditEntry.objects.get(act="partial_update")
    assert (changed.before, changed.after) == ({"description": ""}, {"description": "d"})


def test_looking_leaves_no_entry(admin_client: Client):
    LanguageModel.objects.create(name="m")
    admin_client.get("/api/fleet/v1/models")
    admin_client.get("/admin/fleet/languagemodel/")
    assert not AuditEntry.objects.exists()


def test_a_command_is_recorded_with_what_was_given():
    add_worker()
    call_command("fleet", "cordon", "box")
    entry = the_entry()
    assert (entry.door, entry.act, entry.after) == ("command", "fleet cordon", {"worker": "box"})
    assert entry.actor_name


def test_signing_in_failing_and_signing_out_are_recorded(client: Client, django_user_model):
    django_user_model.objects.create_user("ada", password="right")
    for name, password in (("ada", "wrong"), ("my-password", "x"), ("ada", "right")):
        client.post("/login/", {"login": name, "password": password})
    client.post("/logout/")
    entries = AuditEntry.objects.order_by("pk").values_list("act", "object_name", "actor_name")
    assert list(entries) == [
        ("sign-in failed", "ada", ""),
        ("sign-in failed", "", ""),
        ("signed in", "ada", "ada"),
        ("signed out", "ada", "ada"),
    ]


def test_people_leave_entries_for_their_own_keys(client: Client, django_user_model):
    client.force_login(django_user_model.objects.create_user("maria"))
    client.post("/keys/", {"name": "script", "valid_for": "30"})
    key_id = the_entry().object_id
    client.post(f"/keys/{key_id}/revoke/")
    acts = AuditEntry.objects.order_by("pk").values_list("door", "act")
    assert list(acts) == [("page", "issued"), ("page", "revoked")]


def test_the_log_is_read_in_chinese_as_well(admin_client: Client):
    admin_client.post("/admin/accounts/team/add/", {"name": "research", "weight": "2"})
    page = admin_client.get("/admin/audit/auditentry/", headers={"accept-language": "zh-hans"}).content.decode()
    assert [words for words in ("已添加", "团队", "来源") if words not in page] == []


def test_the_database_refuses_to_change_an_entry():
    AuditEntry.objects.create(door=Door.ADMIN, act="changed")
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        AuditEntry.objects.update(act="nothing")


@pytest.mark.parametrize("path", ["add/", "1/change/", "1/delete/"])
def test_nobody_changes_the_log_in_the_admin(admin_client: Client, path):
    AuditEntry.objects.create(pk=1, door=Door.ADMIN, act="changed")
    admin_client.post(f"/admin/audit/auditentry/{path}", {"act": "nothing", "post": "yes"})
    assert AuditEntry.objects.get().act == "changed"


@pytest.mark.django_db(transaction=True)
async def test_the_log_is_searched_and_what_was_found_exported(async_client: AsyncClient, admin_user):
    await async_client.aforce_login(admin_user)
    for name in ("research", "=cmd()"):
        await AuditEntry.objects.acreate(door=Door.ADMIN, act="added", object_name=name, after={"name": name})
    page = "/admin/audit/auditentry/"
    found = (await async_client.get(f"{page}?q=research")).context["cl"].result_list
    assert [entry.object_name for entry in found] == ["research"]
    led_to = await async_client.get(f"{page}export/", headers={"referer": f"http://testserver{page}?q=cmd"})
    exported = await async_client.get(led_to["Location"])
    lines = b"".join([part async for part in exported]).decode().splitlines()
    assert len(lines) == 2
    assert "'=cmd()" in lines[1]


def test_entries_are_kept_for_ever_unless_a_setting_says_otherwise(settings, time_machine):
    AuditEntry.objects.create(door=Door.ADMIN, act="added")
    time_machine.move_to(now() + timedelta(days=2 * 365))
    kept = tasks.prune()
    settings.AUDIT_KEEP_DAYS = 365
    assert (kept, tasks.prune(), AuditEntry.objects.count()) == (0, 1, 0)


def test_tokens_within_texts_and_structures_are_redacted():
    model = LanguageModel(name="m", description="call it with sk-flt-abcdef0123456789abcdef")
    state = state_of(model, with_many=False)
    assert "abcdef" not in str(state)
    assert difference({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == ({"b": 2}, {"b": 3, "c": 4})
