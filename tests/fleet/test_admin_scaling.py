"""What an administrator may do with a deployment and its replicas, from their pages."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client

from fleet.models import Deployment, Replica
from fleet.reconciler import reconcile

CONFIRMED = {"_form_submitted": "on"}


@pytest.fixture
def deployment(make_worker, make_deployment) -> Deployment:
    make_worker()
    deployment = make_deployment(num_replicas=2)
    reconcile()
    Replica.objects.update(phase="ready")
    return deployment


def act(client: Client, row: Deployment | Replica, action: str, **data: object) -> list[str]:
    """The messages that the person reads."""
    kind = row._meta.model_name
    response = client.post(f"/admin/fleet/{kind}/{row.pk}/{action}/", CONFIRMED | data)
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_a_deployment_is_stopped_and_started(admin_client: Client, deployment):
    assert act(admin_client, deployment, "stop") == ["echo-1 ×2: Stopped."]
    assert not Replica.objects.desired().exists()
    assert act(admin_client, deployment, "start")[-1] == "echo-1 ×2: Started."
    assert Replica.objects.desired().count() == 2


def test_what_was_so_already_is_said_and_not_written_down(admin_client: Client, deployment):
    assert act(admin_client, deployment, "start") == ["echo-1 ×2: nothing to do, it was so already."]
    assert not LogEntry.objects.exists()


def test_a_deployment_is_scaled_and_the_history_says_to_what(admin_client: Client, deployment):
    act(admin_client, deployment, "scale", num_replicas=3)
    assert (Replica.objects.desired().count(), LogEntry.objects.get().get_change_message()) == (3, "Scaled to 3.")


@pytest.mark.parametrize("number", ["0", "65", "", "many"])
def test_a_number_that_no_deployment_may_have_changes_nothing(admin_client: Client, deployment, number):
    act(admin_client, deployment, "scale", num_replicas=number)
    assert Deployment.objects.get().num_replicas == 2


def test_one_replica_is_restarted(admin_client: Client, deployment):
    replica = Replica.objects.get(slot=0)
    assert act(admin_client, replica, "restart") == [f"{replica}: Restarts."]
    assert set(Replica.objects.exclude(restart_requested_at=None)) == {replica}


def test_all_replicas_of_a_deployment_are_restarted(admin_client: Client, deployment):
    act(admin_client, deployment, "restart")
    assert Replica.objects.exclude(restart_requested_at=None).count() == 2


def test_one_replica_is_stopped(admin_client: Client, deployment):
    act(admin_client, Replica.objects.get(slot=0), "stop_one")
    assert (Deployment.objects.get().num_replicas, Replica.objects.desired().count()) == (1, 1)


def test_a_replica_that_has_gone_meanwhile_says_where_to_look(admin_client: Client, deployment):
    replica = Replica.objects.get(slot=0)
    Replica.objects.retire()
    assert act(admin_client, replica, "restart") == [
        "This replica has gone; look at the list for the one in its place."
    ]


def test_who_may_only_look_may_not_act(client: Client, deployment, django_user_model):
    viewer = django_user_model.objects.create_user("maria", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__in=("view_replica", "view_deployment")))
    client.force_login(viewer)
    replica = Replica.objects.get(slot=0)
    for row, action in ((replica, "restart"), (replica, "stop_one"), (deployment, "stop")):
        assert client.post(f"/admin/fleet/{row._meta.model_name}/{row.pk}/{action}/", CONFIRMED).status_code == 403
