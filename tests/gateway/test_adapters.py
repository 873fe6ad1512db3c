"""An adapter is a model of its own to callers; it shares its base's replicas, and is governed as its base is."""

from contextlib import closing
from decimal import Decimal

import pytest

from fleet.models import LanguageModel
from gateway import runtime
from gateway.issuing import issue_key
from tests.gateway.conftest import HELLO, add_adapter, add_replica, give_places, post, the_record, wait_until
from tests.gateway.crowd import Crowd
from tests.gateway.fake_replica import FakeReplica, linger

ASKED = {"model": "polite", "messages": HELLO}


@pytest.fixture
def polite(gateway):
    """An adapter of "fake-1"."""
    add_adapter("polite")
    give_places(1)
    gateway.refresh()


def test_an_adapter_is_listed_asked_for_and_accounted_by_its_own_name(client, fake, polite):
    assert {model.id for model in client.models.list()} == {"fake-1", "polite"}
    assert client.chat.completions.create(model="polite", messages=HELLO).model == "polite"
    assert fake.bodies[-1]["model"] == "polite"
    assert the_record().model == "polite"


def test_who_waits_for_an_adapter_has_a_turn_though_many_wait_for_its_base(gateway, key, other_key, fake, polite):
    gateway.refresh()
    fake.behave = linger
    with Crowd(gateway) as crowd:
        asked = [crowd.ask(key) for _ in range(4)]
        wait_until(lambda: runtime.current().admission.num_waiting == 3)
        adapted = crowd.ask(other_key, model="polite")
        wait_until(lambda: runtime.current().admission.num_waiting == 4)
        fake.release(3)
        assert adapted.heard().status == 200
        assert sum(one.is_answered for one in asked) == 2
        assert fake.most_open == 1
        fake.release(2)
        assert [one.heard().status for one in asked] == [200] * 4


def test_who_asks_under_several_names_gets_no_more_turns(gateway, key, other_key, fake, polite):
    for name in ("terse", "witty"):
        add_adapter(name)
    gateway.refresh()
    fake.behave = linger
    with Crowd(gateway) as crowd:
        crowd.ask(key)
        wait_until(lambda: fake.num_open == 1)
        for model in ("polite", "terse", "witty") * 3:
            crowd.ask(key, model=model)
        modest = [crowd.ask(other_key) for _ in range(3)]
        wait_until(lambda: runtime.current().admission.num_waiting == 12)
        fake.release(7)
        assert [one.heard().status for one in modest] == [200] * 3


def test_an_adapter_whose_replicas_are_full_holds_up_nobody_of_its_base(gateway, key, fake, polite):
    fake.behave = linger
    with closing(FakeReplica()) as other, Crowd(gateway) as crowd:
        add_replica(other.url)
        give_places(1)
        gateway.refresh()
        for _ in range(3):
            crowd.ask(key, model="polite")
        wait_until(lambda: runtime.current().admission.num_waiting == 2)
        assert crowd.ask(key).heard().status == 200
        assert len(other.bodies) == 1


def test_a_base_models_own_limit_holds_for_it_and_its_adapters_together(gateway, key, fake, polite):
    give_places(8)
    LanguageModel.objects.update(max_concurrency=2)
    gateway.refresh()
    fake.behave = linger
    with Crowd(gateway) as crowd:
        for model in ("fake-1", "polite") * 3:
            crowd.ask(key, model=model)
        wait_until(lambda: (runtime.current().admission.num_waiting, fake.num_open) == (4, 2))


@pytest.mark.parametrize(("patterns", "status"), [(["polite"], 200), (["*"], 200), (["fake-1"], 404)])
def test_a_key_for_the_base_model_opens_an_adapter_by_its_name_only(gateway, polite, user, patterns, status):
    _, text = issue_key(user, "narrow", allowed_models=patterns)
    gateway.refresh()
    assert post(gateway, text, "/chat/completions", ASKED).status_code == status


def test_a_base_model_that_callers_may_not_name_has_adapters_that_they_may_not_name(gateway, polite, key):
    LanguageModel.objects.update(only_by_route=True)
    gateway.refresh()
    assert post(gateway, key, "/chat/completions", ASKED).status_code == 404


def test_an_adapter_costs_what_its_base_model_costs(gateway, polite, key):
    LanguageModel.objects.update(input_price=100_000, output_price=0)
    gateway.refresh()
    post(gateway, key, "/chat/completions", ASKED)
    assert (the_record().model, the_record().cost) == ("polite", Decimal("0.7"))
