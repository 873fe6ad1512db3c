"""Admin opens on whether the fleet is well."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now

from fleet.attention import findings
from fleet.badges import LOST
from fleet.models import LanguageModel, Provider, Replica
from fleet.overview import read_overview
from fleet.reconciler import reconcile

LONG_AGO = timedelta(hours=1)


@pytest.fixture
def place(make_worker, make_deployment):
    """`place("ready")`: a deployment whose one replica is in that phase, on a worker that was just heard."""

    def make(phase: str = "ready", **fields: object) -> Replica:
        make_worker()
        make_deployment()
        reconcile()
        Replica.objects.update(phase=phase, **fields)
        return Replica.objects.get()

    return make


def titles() -> list[str]:
    return [finding.title for finding in findings(read_overview())]


def test_a_fleet_whose_replicas_are_ready_asks_for_nothing(place):
    place("ready")
    assert titles() == []


def test_an_empty_installation_asks_for_a_worker_and_a_model(db):
    assert titles() == ["No worker has joined yet", "No model is deployed"]


def test_a_replica_that_is_still_loading_asks_for_nothing(place):
    place("loading", progress=0.4)
    assert titles() == []


def test_a_download_is_shown_in_bytes_with_a_bar_of_its_own(place):
    place("loading", progress=0.3, downloaded_bytes=12 * 2**30 // 10, download_bytes=4 * 2**30)
    overview = read_overview()
    for badge in (overview.replicas[0].badge, overview.deployments[0].badge):
        assert badge.text.replace("\xa0", " ") == "downloading 1.2 GB of 4.0 GB"
        assert badge.progress == 30


def test_a_deployment_shows_the_replica_that_will_answer_next(place):
    first = place("loading", progress=0.1)
    Replica.objects.create(
        deployment=first.deployment, worker=first.worker, slot=1, spec=first.spec, phase="loading", progress=0.9,
        downloaded_bytes=9, download_bytes=10, observed_at=now(),
    )  # fmt: skip
    assert read_overview().deployments[0].badge.text == "loading 10 %"


def test_a_failed_replica_is_named_with_its_error(place):
    place("failed", error="no such folder: /models/x")
    (finding,) = findings(read_overview())
    assert "no such folder: /models/x" in finding.cause


def test_whatever_needs_attention_says_why(place):
    place("draining")
    assert [finding.cause for finding in findings(read_overview())] == ["It is being drained on box-1."]


def test_what_one_silent_worker_causes_is_said_once(place):
    replica = place("ready")
    replica.worker.last_heartbeat_at = now() - LONG_AGO
    replica.worker.save()
    (finding,) = findings(read_overview())
    assert "echo-1" in finding.cause


def test_a_silent_worker_is_named_and_linked(place):
    replica = place("ready")
    replica.worker.last_heartbeat_at = now() - LONG_AGO
    replica.worker.save()
    (silent,) = findings(read_overview())
    assert silent.url == reverse("admin:fleet_worker_change", args=[replica.worker_id])


def test_what_a_silent_worker_last_said_is_not_shown_as_so(place):
    replica = place("ready")
    replica.worker.last_heartbeat_at = now() - LONG_AGO
    replica.worker.save()
    assert read_overview().replicas[0].phase == LOST


def test_a_model_that_no_worker_may_take_says_which_worker_is_how(make_worker, make_deployment):
    make_worker("box-1", cordoned=True)
    make_deployment()
    reconcile()
    (finding,) = findings(read_overview())
    assert "box-1: cordoned" in finding.cause


def test_a_stopped_deployment_asks_for_nothing(make_worker, make_deployment):
    make_worker()
    make_deployment(num_replicas=0)
    assert titles() == []


def test_the_landing_page_says_that_all_is_well(admin_client: Client, place):
    place("ready")
    page = admin_client.get(reverse("admin:index")).content.decode()
    assert "The fleet is well" in page


def test_models_of_providers_are_listed_beside_deployments(admin_client: Client, place):
    place("ready")
    offered = {"model": LanguageModel.objects.create(name="gpt-4o"), "upstream_name": "gpt-4o-2024"}
    provider = Provider.objects.create(name="OpenAI", base_url="https://api.openai.com/v1")
    provider.models.create(**offered)
    Provider.objects.create(name="Off", base_url="https://x.example", is_enabled=False).models.create(**offered)
    page = admin_client.get(reverse("admin:index")).content.decode()
    panel = page[page.index('data-live="models"') :]
    assert ["echo-1" in panel, "gpt-4o-2024" in panel, "OpenAI" in panel, "Off<" in panel] == [True, True, True, False]


@pytest.fixture
def _nothing_cached(settings) -> None:
    """What one page has read is kept for seconds, which may end between two pages."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}


@pytest.mark.usefixtures("_nothing_cached")
def test_the_landing_page_reads_no_more_for_a_large_fleet(admin_client: Client, place, make_worker, make_deployment):
    place("ready")
    admin_client.get(reverse("admin:index"))
    with CaptureQueriesContext(connection) as for_one_model:
        admin_client.get(reverse("admin:index"))

    for number in range(2, 9):
        make_worker(f"box-{number}")
        make_deployment(f"model-{number}", num_replicas=3)
    reconcile()

    with CaptureQueriesContext(connection) as for_eight:
        admin_client.get(reverse("admin:index"))
    assert len(for_eight) == len(for_one_model), for_eight.captured_queries


def test_somebody_who_is_not_staff_does_not_see_it(client: Client, django_user_model):
    client.force_login(django_user_model.objects.create_user("maria"))
    assert client.get(reverse("admin:index")).status_code == 302
