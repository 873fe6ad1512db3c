"""What an administrator may decide about a worker."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from fleet.models import Replica, Worker, WorkerState
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


@pytest.mark.parametrize("action", ["cordon", "revoke"])
def test_following_a_link_changes_nothing(admin_client: Client, worker, action):
    admin_client.get(f"/admin/fleet/worker/{worker.pk}/{action}/")
    worker.refresh_from_db()
    assert (worker.cordoned, worker.revoked_at) == (False, None)


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


def test_staff_without_the_permission_may_not(client: Client, worker, django_user_model):
    client.force_login(django_user_model.objects.create_user("maria", is_staff=True))
    assert act(client, worker, "revoke").status_code == 403
