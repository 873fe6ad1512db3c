"""An administrator asks what would happen to a request."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from fleet.models import BalancingPolicy, LanguageModel, Replica
from gateway import runtime
from gateway.balancer import Wanted
from gateway.models import FailureClass, Route
from tests.gateway.conftest import HELLO, add_replica, post

TEST = "/admin/gateway/route/test_name/"


@pytest.fixture
def page(gateway, admin_client: Client):
    """`page(name="fake-1")`: what the page says."""

    def read(**asked: object) -> str:
        gateway.refresh()
        return admin_client.get(TEST, asked).content.decode()

    return read


def test_a_model_tells_whom_it_would_ask(page, replica):
    assert replica.worker.name in page(name="fake-1")
    assert "would be asked" in page(name="fake-1")


def test_what_it_says_is_what_happens(gateway, key, page, fake):
    other = add_replica("http://127.0.0.1:1")
    Replica.objects.filter(pk=other.pk).update(num_running=8)
    said = page(name="fake-1")
    assert said.index("would be asked") < said.index(other.worker.name)
    post(gateway, key, "/chat/completions", {"model": "fake-1", "messages": HELLO})
    assert len(fake.bodies) == 1


def test_a_dry_run_takes_nobodys_turn(gateway, page):
    add_replica("http://127.0.0.1:1")
    LanguageModel.objects.update(balancing_policy=BalancingPolicy.ROUND_ROBIN)
    gateway.refresh()
    balancer, (pool,) = runtime.current().balancer, runtime.current().poller.latest.pools.values()
    first = balancer.pick(pool, Wanted(capability="chat"))
    for _ in range(3):
        page(name="fake-1")
    assert balancer.pick(pool, Wanted(capability="chat")) is not first


def test_a_route_tells_its_shares_and_its_fallbacks(page):
    add_replica("http://127.0.0.1:1", model="fake-2")
    route = Route.objects.create(name="chat")
    route.targets.create(model=LanguageModel.objects.get(name="fake-1"), weight=100)
    route.fallbacks.create(model=LanguageModel.objects.get(name="fake-2"), after=[FailureClass.TIMEOUT])
    said = page(name="chat")
    assert "100 %" in said
    assert "no answer in time" in said


def test_a_replica_that_failed_is_told_with_the_reason(gateway, key, page, fake, monkeypatch):
    # It is left out for as long as a busy machine may take to show the page.
    monkeypatch.setattr("gateway.breaker._FIRST_PAUSE_S", 30.0)
    fake.close()
    post(gateway, key, "/chat/completions", {"model": "fake-1", "messages": HELLO})
    assert "it cannot be reached" in page(name="fake-1")


def test_a_replica_that_still_loads_is_told(page, replica):
    Replica.objects.filter(pk=replica.pk).update(phase="failed", error="No such folder: /models/x")
    assert "No such folder: /models/x" in page(name="fake-1")


def test_a_route_that_is_for_others_is_told_to_be_unknown(page):
    target = Route.objects.create(name="trial").targets.create(model=LanguageModel.objects.get(name="fake-1"))
    target.groups.add(Group.objects.create(name="testers"))
    assert "For this caller there is no such name" in page(name="trial")


def test_the_button_of_a_route_leads_there(gateway, admin_client: Client):
    route = Route.objects.create(name="chat")
    response = admin_client.get(f"/admin/gateway/route/{route.pk}/test_route/")
    assert response["Location"] == f"{TEST}?name=chat"


@pytest.mark.django_db
def test_without_a_gateway_the_page_says_so(admin_client: Client):
    LanguageModel.objects.create(name="fake-1")
    assert "does not run in this process" in admin_client.get(TEST, {"name": "fake-1"}).content.decode()


@pytest.mark.django_db
def test_an_unknown_name_is_refused_with_the_field(admin_client: Client):
    page = admin_client.get(TEST, {"name": "nonsense"}).content.decode()
    assert "nonsense is not one of the available choices" in page
