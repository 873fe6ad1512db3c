"""What an administrator may decide about a worker."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from fleet.models import Duty, Replica, Worker, WorkerState
from fleet.reconciler import reconcile

CONFIRMED = {"_form_submitted": "on"}


@pytest.fixture
def worker(make_worker) -> Worker:
    return make_worker("box-1")


def act(client: Client, worker: Worker, action: str, data: dict[str, str] | None = None):
    return client.post(f"/admin/fleet/worker/{worker.pk}/{action}/", data or CONFIRMED)


@pytest.mark.parametrize(("action", "before", "after"), [("cordon", False, True), ("uncordon", True, False)])
def test_a_worker_is_cordoned_and_uncordoned(admin_client: Client, worker, action, before, after):
    Worker.objects.update(cordoned=before)
    act(admin_client, worker, action)
    worker.refresh_from_db()
    assert worker.cordoned is after


@pytest.mark.parametrize("action", ["cordon", "revoke", "drain", "remove"])
def test_following_a_link_changes_nothing(admin_client: Client, worker, action):
    admin_client.get(f"/admin/fleet/worker/{worker.pk}/{action}/")
    worker.refresh_from_db()
    assert (worker.cordoned, worker.revoked_at) == (False, None)


@pytest.mark.parametrize("address", ["no-id", "00000000-0000-4000-8000-000000000000"])
@pytest.mark.parametrize(
    "action", ["", "change/", "cordon/", "drain/", "remove/", "rotate_credential/", "delete_model/"]
)
def test_a_worker_that_is_gone_meanwhile_is_no_fault_of_the_server(admin_client: Client, address, action):
    answers = [
        call(f"/admin/fleet/worker/{address}/{action}", CONFIRMED) for call in (admin_client.get, admin_client.post)
    ]
    assert {answer.status_code for answer in answers} <= {200, 302, 404}


def test_a_revoked_worker_is_out_and_its_replicas_go_elsewhere(
    admin_client: Client, worker, make_worker, make_deployment
):
    make_deployment()
    reconcile()
    other = make_worker("box-2")
    act(admin_client, worker, "revoke")
    worker.refresh_from_db()
    assert (worker.state, Replica.objects.desired().get().worker) == (WorkerState.REVOKED, other)


def test_what_was_decided_is_in_the_history(admin_client: Client, worker):
    act(admin_client, worker, "cordon")
    assert LogEntry.objects.get().get_change_message() == "Cordoned."


def test_several_workers_are_cordoned_from_the_list(admin_client: Client, make_worker):
    chosen = [str(make_worker(name).pk) for name in ("box-1", "box-2")]
    data = {"action": "cordon_selected", "_selected_action": chosen}
    admin_client.post(reverse("admin:fleet_worker_changelist"), data)
    assert Worker.objects.filter(cordoned=True).count() == 2


def test_a_worker_that_holds_a_credential_cannot_be_deleted(admin_client: Client, worker):
    admin_client.post(reverse("admin:fleet_worker_delete", args=[worker.pk]), {"post": "yes"})
    assert Worker.objects.exists()


def test_its_page_shows_the_machine_but_no_secret(admin_client: Client, make_worker):
    hardware = {"hostname": "rack-4", "num_cpus": 96, "devices": [], "disk_free_bytes": 2**40}
    worker = make_worker(hardware=hardware, gateway_secret="flt-gateway-canary")
    page = admin_client.get(reverse("admin:fleet_worker_change", args=[worker.pk])).content.decode()
    assert ("rack-4" in page, "canary" in page, worker.credential_hash in page) == (True, False, False)


def test_its_page_shows_which_engines_it_has(admin_client: Client, make_worker):
    worker = make_worker(hardware={"engines": {"echo": "", "vllm": "0.11.0"}})
    page = admin_client.get(reverse("admin:fleet_worker_change", args=[worker.pk])).content.decode()
    assert "vllm 0.11.0" in page


def test_staff_without_the_permission_may_not(client: Client, worker, django_user_model):
    client.force_login(django_user_model.objects.create_user("maria", is_staff=True))
    assert act(client, worker, "revoke").status_code == 403


def told(response) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_a_worker_is_drained_and_the_person_told(admin_client: Client, worker):
    response = act(admin_client, worker, "drain")
    worker.refresh_from_db()
    assert (worker.duty, told(response)) == (Duty.EMPTIED, ["box-1: Drains."])


def test_what_a_drain_would_stop_is_named_and_must_be_confirmed(admin_client: Client, worker, make_deployment):
    make_deployment()
    reconcile()
    dialog = act(admin_client, worker, "drain").content.decode()
    worker.refresh_from_db()
    assert "No other worker can take over: echo-1." in dialog
    assert worker.duty is Duty.IN_SERVICE
    act(admin_client, worker, "drain", CONFIRMED | {"may_stop": "on"})
    worker.refresh_from_db()
    assert worker.duty is Duty.EMPTIED


def test_the_remark_of_a_maintenance_is_shown_wherever_the_worker_is(admin_client: Client, worker):
    act(admin_client, worker, "maintain", CONFIRMED | {"remark": "new fans, until Friday"})
    pages = [reverse("admin:index"), reverse("admin:fleet_worker_change", args=[worker.pk])]
    assert all("new fans, until Friday" in admin_client.get(page).content.decode() for page in pages)


def test_a_maintenance_without_a_remark_is_not_begun(admin_client: Client, worker):
    act(admin_client, worker, "maintain", CONFIRMED | {"remark": ""})
    worker.refresh_from_db()
    assert worker.duty is Duty.IN_SERVICE


def test_an_empty_worker_is_removed(admin_client: Client, worker):
    act(admin_client, worker, "remove")
    assert not Worker.objects.exists()


def test_a_worker_that_is_in_use_is_not_removed_and_the_person_hears_what_to_do(
    admin_client: Client, worker, make_deployment
):
    make_deployment()
    reconcile()
    response = act(admin_client, worker, "remove")
    assert Worker.objects.exists()
    assert told(response) == ["box-1 still runs replicas. Drain it first, and remove it when it is empty."]


def test_a_model_is_added_to_this_worker(admin_client: Client, worker):
    page = admin_client.get(f"/admin/fleet/worker/{worker.pk}/add_model/", follow=True).content.decode()
    assert f'<option value="{worker.pk}" selected>' in page


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ({}, {"add_model", "cordon", "drain", "maintain", "rotate_credential", "remove", "revoke"}),
        ({"cordoned": True}, {"uncordon", "drain", "maintain", "rotate_credential", "remove", "revoke"}),
        (
            {"cordoned": True, "drain_requested_at": now()},
            {"uncordon", "maintain", "rotate_credential", "remove", "revoke"},
        ),
        ({"revoked_at": now()}, {"remove"}),
    ],
)
def test_only_what_makes_sense_now_is_offered(admin_client: Client, worker, fields, offered):
    Worker.objects.update(**fields)
    page = admin_client.get(reverse("admin:fleet_worker_change", args=[worker.pk])).content.decode()
    links = set(re.findall(rf"/admin/fleet/worker/{worker.pk}/(\w+)/\"", page))
    assert links - {"change", "history", "delete"} == offered


def test_labels_are_given_to_a_worker(admin_client: Client, worker):
    page = reverse("admin:fleet_worker_change", args=[worker.pk])
    admin_client.post(page, {"name": "box-1", "labels": "gpu=h100"})
    worker.refresh_from_db()
    assert worker.labels == {"gpu": "h100"}
