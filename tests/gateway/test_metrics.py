"""GET /metrics of the web process."""

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.conftest import HELLO, give_places, post, the_record, wait_until
from tests.gateway.crowd import Crowd
from tests.gateway.fake_replica import USAGE, linger

TOKEN = "for-prometheus"
CHAT = {"model": "fake-1", "messages": HELLO}


@pytest.fixture
def scrape(settings, gateway):
    """`scrape()`: every sample by its name and labels."""
    settings.METRICS_TOKEN = TOKEN

    def read() -> dict[tuple[str, frozenset], float]:
        page = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert page.status_code == 200
        families = text_string_to_metric_families(page.content.decode())
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    return read


def sample(name: str, **labels: str) -> tuple[str, frozenset]:
    return name, frozenset(labels.items())


def grown(before, after, key) -> float:
    return after[key] - before.get(key, 0)


def test_a_request_is_counted_as_it_was_accounted_for(scrape, gateway, key):
    before = scrape()
    post(gateway, key, "/chat/completions", CHAT | {"stream": True})
    the_record()
    after = scrape()
    ended = sample("flotilla_requests_total", model="fake-1", endpoint="chat/completions", state="complete")
    assert grown(before, after, ended) == 1
    for kind in ("prompt", "completion"):
        tokens = sample("flotilla_tokens_total", model="fake-1", kind=kind)
        assert grown(before, after, tokens) == USAGE[f"{kind}_tokens"]
    assert grown(before, after, sample("flotilla_time_to_first_token_seconds_count", model="fake-1")) == 1


def test_names_that_callers_make_up_make_no_labels(scrape, gateway, key):
    for number in range(3):
        post(gateway, key, "/chat/completions", CHAT | {"model": f"invented-{number}"})
    assert not [labels for _, labels in scrape() if any("invented" in value for _, value in labels)]


def test_the_fleet_is_told_as_it_is(scrape, replica):
    told = scrape()
    assert told[sample("flotilla_workers", state="alive")] == 1
    assert told[sample("flotilla_replicas", model="fake-1", phase="ready")] == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("token", "shown", "status"), [("", "", 404), ("", "Bearer ", 404), (TOKEN, "Bearer no", 401)])
def test_without_the_token_nothing_is_told(settings, token, shown, status):
    settings.METRICS_TOKEN = token
    refused = Client().get("/metrics", headers={"Authorization": shown})
    assert refused.status_code == status
    assert b"METRICS_TOKEN" in refused.content
    assert b"flotilla_" not in refused.content


def test_who_waits_for_a_place_is_counted(scrape, gateway, key, fake):
    give_places(1)
    gateway.refresh()
    fake.behave = linger
    with Crowd(gateway) as crowd:
        asked = [crowd.ask(key) for _ in range(3)]
        wait_until(lambda: scrape().get(sample("flotilla_requests_waiting", model="fake-1")) == 2)
        fake.release(3)
        assert [one.heard().status for one in asked] == [200] * 3
