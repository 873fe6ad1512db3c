"""A change of a deployment is a rollout: who began it, from what to what, and what became of it."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from fleet.attention import findings, progress
from fleet.errors import ActRefused
from fleet.models import Deployment, Replica, RollbackCause, Rollout, RolloutPhase, Worker
from fleet.overview import read_overview
from fleet.reconciler import reconcile
from fleet.undoing import retry, undo


def observe(source: str, phase: str = "ready", **fields) -> None:
    """What the workers tell of the replicas that run this source; ready ones have been so for an hour."""
    rows = Replica.objects.filter(spec__source=source, retired_at=None)
    rows.update(phase=phase, ready_at=now() - timedelta(hours=1) if phase == "ready" else None, **fields)
    Worker.objects.update(last_heartbeat_at=now())
    reconcile()


def change(deployment: Deployment, source: str) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(source=source)
    reconcile()


def history(deployment: Deployment) -> list[tuple[int, str]]:
    return list(deployment.rollouts.order_by("revision").values_list("revision", "phase"))


def wanted_source(deployment: Deployment) -> str:
    return Deployment.objects.get(pk=deployment.pk).source


@pytest.fixture
def boss(db) -> object:
    return get_user_model().objects.create_user("boss")


@pytest.fixture
def deployment(make_worker, make_deployment, boss) -> Deployment:
    """Version `old` is in force, on one worker."""
    make_worker()
    made = make_deployment(source="old", changed_by=boss)
    reconcile()
    observe("old")
    return made


def test_the_first_version_is_in_force_once_it_is_ready(make_worker, make_deployment):
    make_worker()
    deployment = make_deployment(source="old")
    reconcile()
    assert history(deployment) == [(1, RolloutPhase.RUNNING)]
    observe("old")
    assert history(deployment) == [(1, RolloutPhase.IN_FORCE)]


def test_a_change_tells_who_made_it_and_from_what_to_what(deployment, boss):
    change(deployment, "new")
    rollout = Rollout.objects.running().get()
    assert (rollout.revision, rollout.started_by) == (2, boss)
    assert (rollout.previous_spec["source"], rollout.spec["source"]) == ("old", "new")


def test_a_version_that_has_proven_itself_is_in_force_and_the_last_one_past(deployment):
    change(deployment, "new")
    observe("new")
    assert Replica.objects.desired().get().spec["source"] == "new"
    reconcile()
    assert history(deployment) == [(1, RolloutPhase.PAST), (2, RolloutPhase.IN_FORCE)]


def test_a_version_has_to_answer_for_a_while_before_the_old_one_goes(deployment):
    change(deployment, "new")
    observe("new")
    change(deployment, "newer")
    observe("newer", phase="loading")
    Replica.objects.filter(spec__source="newer").update(phase="ready", ready_at=now())
    reconcile()
    assert Replica.objects.desired().count() == 2
    later = now() - settings.ROLLOUT_PROVING
    Replica.objects.filter(spec__source="newer").update(ready_at=later)
    reconcile()
    assert Replica.objects.desired().get().spec["source"] == "newer"


def test_a_version_that_does_not_load_is_rolled_back_and_says_why(deployment):
    old = Replica.objects.get()
    change(deployment, "new")
    observe("new", phase="failed", num_restarts=1, error="no such file: new")
    rollout = Rollout.objects.get(revision=2)
    assert (rollout.phase, rollout.cause, rollout.detail) == ("rolled_back", "broke", "no such file: new")
    assert wanted_source(deployment) == "old"
    assert Replica.objects.desired().get() == old


def test_a_version_that_spoils_its_answers_is_rolled_back(deployment):
    change(deployment, "new")
    observe("new", num_answers=10, num_errors=4)
    assert Rollout.objects.get(revision=2).cause == RollbackCause.ERRORS
    assert Replica.objects.desired().get().spec["source"] == "old"


def test_a_version_that_fails_when_half_of_the_replicas_are_new_is_rolled_back_everywhere(deployment):
    Deployment.objects.update(num_replicas=2)
    reconcile()
    observe("old")
    change(deployment, "new")
    observe("new")
    assert sorted(row.spec["source"] for row in Replica.objects.desired()) == ["new", "new", "old"]
    observe("new", phase="failed", num_restarts=1)
    assert [row.spec["source"] for row in Replica.objects.desired()] == ["old", "old"]
    assert history(deployment)[-1] == (2, RolloutPhase.ROLLED_BACK)


def test_a_first_version_that_fails_has_nothing_to_go_back_to(make_worker, make_deployment):
    make_worker()
    deployment = make_deployment(source="old")
    reconcile()
    observe("old", phase="failed", num_restarts=7)
    assert history(deployment) == [(1, RolloutPhase.RUNNING)]


def test_a_change_in_the_middle_of_a_rollout_starts_another_that_goes_back_to_what_was_in_force(deployment):
    change(deployment, "broken")
    change(deployment, "mended")
    assert history(deployment)[1:] == [(2, RolloutPhase.SUPERSEDED), (3, RolloutPhase.RUNNING)]
    assert Rollout.objects.get(revision=3).previous_spec["source"] == "old"
    assert sorted(row.spec["source"] for row in Replica.objects.desired()) == ["mended", "old"]


def test_a_change_that_is_taken_back_by_hand_leaves_the_old_replica_alone(deployment):
    old = Replica.objects.get()
    change(deployment, "new")
    change(deployment, "old")
    assert history(deployment) == [(1, RolloutPhase.IN_FORCE), (2, RolloutPhase.SUPERSEDED)]
    assert Replica.objects.desired().get() == old


def test_an_administrator_can_give_a_rollout_up(deployment, boss):
    change(deployment, "new")
    assert undo(deployment, boss)
    rollout = Rollout.objects.get(revision=2)
    assert (rollout.phase, rollout.cause, rollout.detail) == ("rolled_back", "administrator", "boss")
    assert wanted_source(deployment) == "old"


def test_an_administrator_can_undo_the_version_in_force(deployment, boss):
    change(deployment, "new")
    observe("new")
    reconcile()
    assert undo(deployment, boss)
    assert history(deployment)[-1] == (3, RolloutPhase.RUNNING)
    assert wanted_source(deployment) == "old"


def test_what_was_rolled_back_can_be_tried_again(deployment, boss):
    change(deployment, "new")
    observe("new", phase="failed", num_restarts=1)
    assert retry(deployment, boss)
    assert history(deployment)[-1] == (3, RolloutPhase.RUNNING)
    assert wanted_source(deployment) == "new"
    with pytest.raises(ActRefused):
        retry(deployment, boss)


def test_the_first_version_cannot_be_undone(deployment, boss):
    with pytest.raises(ActRefused):
        undo(deployment, boss)


def page_of(client: Client, deployment: Deployment) -> str:
    return client.get(reverse("admin:fleet_deployment_change", args=[deployment.pk])).content.decode()


def test_the_page_shows_old_and_new_side_by_side_and_what_it_waits_for(deployment, admin_client):
    change(deployment, "new")
    observe("new", phase="loading")
    page = page_of(admin_client, deployment)
    assert "old version" in page
    assert "The new replica on box-1 is loading." in page
    assert "<del>old</del> → <ins>new</ins>" in page
    assert "1 of 1 replicas ready" in page


def test_the_page_says_why_a_version_was_taken_back(deployment, admin_client):
    change(deployment, "new")
    observe("new", phase="failed", num_restarts=1, error="no such file: new")
    assert "no such file: new" in page_of(admin_client, deployment)


def test_a_version_that_was_taken_back_by_itself_needs_attention_for_a_day(deployment, time_machine):
    change(deployment, "new")
    observe("new", phase="failed", num_restarts=1, error="no such file: new")
    (finding,) = findings(read_overview())
    assert finding.title == "echo-1: its new version was rolled back"
    assert "no such file: new" in finding.cause
    Rollout.objects.update(ended_at=now() - timedelta(days=2))
    assert findings(read_overview()) == []


def test_a_fleet_in_the_middle_of_a_rollout_needs_no_attention(deployment):
    change(deployment, "new")
    observe("new", phase="loading")
    assert findings(read_overview()) == []


def test_a_rollout_that_has_no_place_says_where_it_looked(deployment):
    Worker.objects.update(cordoned=True)
    change(deployment, "new")
    (view,) = read_overview().deployments
    assert progress(view) == "It waits for a place (box-1: cordoned)."


@pytest.mark.parametrize("is_replaced", [False, True])
def test_an_administrator_goes_back_with_one_click(deployment, admin_client, is_replaced):
    change(deployment, "new")
    if is_replaced:
        observe("new")
        reconcile()
    admin_client.post(f"/admin/fleet/deployment/{deployment.pk}/roll_back/", {"_form_submitted": "on"})
    assert wanted_source(deployment) == "old"


def test_an_administrator_tries_again_with_one_click(deployment, admin_client):
    change(deployment, "new")
    observe("new", phase="failed", num_restarts=1)
    admin_client.post(f"/admin/fleet/deployment/{deployment.pk}/try_again/", {"_form_submitted": "on"})
    assert wanted_source(deployment) == "new"
    assert Rollout.objects.get(revision=3).started_by.username == "admin"


def test_only_what_makes_sense_is_offered(deployment, admin_client):
    assert "roll_back" not in page_of(admin_client, deployment)
    change(deployment, "new")
    assert "roll_back" in page_of(admin_client, deployment)
    observe("new", phase="failed", num_restarts=1)
    page = page_of(admin_client, deployment)
    assert "try_again" in page
    assert "roll_back" not in page
