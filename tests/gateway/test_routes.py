"""Names that are no models: aliases, splits, fallbacks."""

from datetime import timedelta

import openai
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.utils.timezone import now

from fleet.models import LanguageModel, Replica
from gateway.issuing import issue_key
from gateway.models import FailureClass, Route, UsageRecord, UsageState
from gateway.routes import RouteEntry, Share
from tests.gateway.conftest import HELLO, add_replica, post, the_record
from tests.gateway.fake_replica import FakeReplica, hang_up, refuse, wait

ASKED = {"model": "gpt-4o-mini", "messages": HELLO}


@pytest.fixture
def other(gateway):
    """The replica of a second model, "fake-2"."""
    replica = FakeReplica()
    add_replica(replica.url, model="fake-2")
    yield replica
    replica.close()


@pytest.fixture
def make_route(gateway):
    """`make_route({"fake-1": 95, "fake-2": 5}, name="chat")`; fallbacks as pairs of model and failures."""

    def make(shares: dict[str, int], *fallbacks: tuple[str, list[str]], name: str = "gpt-4o-mini") -> Route:
        route = Route.objects.create(name=name)
        for model, weight in shares.items():
            route.targets.create(model=LanguageModel.objects.get(name=model), weight=weight)
        for position, (model, after) in enumerate(fallbacks):
            route.fallbacks.create(model=LanguageModel.objects.get(name=model), after=after, position=position)
        gateway.refresh()
        return route

    return make


def test_an_alias_answers_under_the_name_that_the_caller_wrote(client, make_route, fake):
    make_route({"fake-1": 100})
    answer = client.chat.completions.create(**ASKED)
    assert (answer.model, answer.choices[0].message.content) == ("gpt-4o-mini", "Once upon a time")
    assert fake.bodies[0]["model"] == "fake-1"


def test_so_does_every_chunk_of_a_stream(client, make_route):
    make_route({"fake-1": 100})
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(**ASKED, stream=True, stream_options=options))
    assert {chunk.model for chunk in chunks} == {"gpt-4o-mini"}
    assert chunks[-1].usage.total_tokens == 11


def test_the_usage_record_tells_what_was_asked_for_and_what_served(client, make_route):
    make_route({"fake-1": 100})
    client.chat.completions.create(**ASKED)
    record = the_record()
    assert (record.requested_model, record.model) == ("gpt-4o-mini", "fake-1")


def test_routes_are_listed_with_the_models(client, make_route):
    make_route({"fake-1": 100})
    assert [model.id for model in client.models.list()] == ["fake-1", "gpt-4o-mini"]
    assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"


def test_a_split_goes_by_weight():
    shares = [Share(model=model, weight=weight, only_for=None) for model, weight in (("a", 80), ("b", 20))]
    route = RouteEntry(name="r", description="", created_at=now(), shares=tuple(shares), fallbacks=())
    drawn = [route.legs(shares, session="", is_ready=lambda model: True)[0].model for _ in range(2000)]
    assert 0.15 < drawn.count("b") / 2000 < 0.25


def test_both_sides_of_a_split_get_requests(gateway, key, make_route, fake, other):
    make_route({"fake-1": 50, "fake-2": 50})
    for _ in range(20):
        post(gateway, key, "/chat/completions", ASKED)
    assert fake.bodies
    assert other.bodies


def test_a_session_stays_on_its_side_of_a_split(gateway, key, make_route, fake, other):
    make_route({"fake-1": 50, "fake-2": 50})
    for user in ("a", "b", "c", "d"):
        before = len(fake.bodies)
        for _ in range(3):
            post(gateway, key, "/chat/completions", ASKED | {"user": user})
        assert len(fake.bodies) - before in (0, 3)


def test_a_split_never_sends_to_a_model_that_is_not_ready(gateway, key, make_route, fake, other):
    Replica.objects.filter(deployment__model__name="fake-2").update(phase="loading")
    make_route({"fake-1": 1, "fake-2": 99})
    assert {post(gateway, key, "/chat/completions", ASKED).status_code for _ in range(10)} == {200}


@pytest.mark.parametrize("by_group", [False, True], ids=["by name", "by group"])
def test_a_model_on_trial_is_for_those_who_are_named(gateway, key, user, make_route, fake, other, by_group):
    route = make_route({"fake-1": 0, "fake-2": 100})
    target = route.targets.get(model__name="fake-2")
    tester = get_user_model().objects.create_user("tess")
    if by_group:
        tester.groups.add(Group.objects.create(name="testers"))
        target.groups.set(tester.groups.all())
    else:
        target.users.add(tester)
    route.targets.filter(model__name="fake-1").update(weight=1)
    gateway.refresh()
    for _ in range(5):
        post(gateway, key, "/chat/completions", ASKED)
    assert not other.bodies
    testers_key = issue_key(tester, "laptop")[1]
    gateway.refresh()
    for _ in range(3):
        post(gateway, testers_key, "/chat/completions", ASKED)
    assert other.bodies


def test_a_route_for_others_does_not_exist(gateway, client, make_route):
    target = make_route({"fake-1": 100}).targets.get()
    target.groups.add(Group.objects.create(name="nobody yet"))
    gateway.refresh()
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**ASKED)
    assert [model.id for model in client.models.list()] == ["fake-1"]


def test_a_model_that_only_routes_lead_to_cannot_be_named(client, make_route):
    LanguageModel.objects.update(only_by_route=True)
    make_route({"fake-1": 100})
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="fake-1", messages=HELLO)
    assert client.chat.completions.create(**ASKED).model == "gpt-4o-mini"
    assert [model.id for model in client.models.list()] == ["gpt-4o-mini"]


def test_a_route_may_stand_in_front_of_the_model_of_its_name(client, make_route, fake, other):
    make_route({"fake-1": 0, "fake-2": 100}, name="fake-1")
    assert client.chat.completions.create(model="fake-1", messages=HELLO).model == "fake-1"
    assert other.bodies
    assert not fake.bodies


CONTEXT = refuse(400, code="context_length_exceeded")


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (refuse(404), FailureClass.NO_REPLICA),
        (refuse(429), FailureClass.OVERLOADED),
        (refuse(503), FailureClass.OVERLOADED),
        (refuse(500), FailureClass.UPSTREAM_FAILED),
        (hang_up, FailureClass.UPSTREAM_FAILED),
        (wait, FailureClass.TIMEOUT),
        (CONTEXT, FailureClass.CONTEXT_LENGTH),
    ],
    ids=["404", "429", "503", "500", "lost", "timeout", "context"],
)
def test_a_failure_that_the_route_names_is_another_models_chance(
    gateway, key, make_route, fake, other, settings, fault, failure
):
    fake.behave = fault
    settings.UPSTREAM_READ_TIMEOUT = timedelta(seconds=2)
    make_route({"fake-1": 100}, ("fake-2", [failure]))
    answer = post(gateway, key, "/chat/completions", ASKED)
    assert (answer.status_code, answer.json()["model"]) == (200, "gpt-4o-mini")
    record = the_record()
    assert (record.model, record.state) == ("fake-2", UsageState.COMPLETE)


def test_a_failure_that_the_route_does_not_name_is_the_callers_to_hear(gateway, key, make_route, fake, other):
    fake.behave = refuse(500)
    make_route({"fake-1": 100}, ("fake-2", [FailureClass.CONTEXT_LENGTH, FailureClass.NO_REPLICA]))
    assert post(gateway, key, "/chat/completions", ASKED).status_code == 502
    assert not other.bodies


def test_a_request_that_is_wrong_is_wrong_for_every_model(gateway, key, make_route, fake, other):
    fake.behave = refuse(400)
    make_route({"fake-1": 100}, ("fake-2", list(FailureClass)))
    assert post(gateway, key, "/chat/completions", ASKED).status_code == 400
    assert not other.bodies


def test_fallbacks_are_asked_in_order(gateway, key, make_route, fake, other):
    third = FakeReplica()
    add_replica(third.url, model="fake-3")
    fake.behave = other.behave = refuse(500)
    failed = [FailureClass.UPSTREAM_FAILED]
    make_route({"fake-1": 100}, ("fake-2", failed), ("fake-3", failed))
    assert post(gateway, key, "/chat/completions", ASKED | {"stream": True}).status_code == 200
    third.close()
    assert [len(replica.bodies) for replica in (fake, other, third)] == [1, 1, 1]
    assert the_record().model == "fake-3"


def test_where_all_fail_there_is_one_record_and_no_name_of_ours(gateway, key, make_route, fake, other):
    Replica.objects.update(phase="loading")
    LanguageModel.objects.update(max_queue_wait_s=1)
    make_route({"fake-1": 100}, ("fake-2", list(FailureClass)))
    failed = post(gateway, key, "/chat/completions", ASKED)
    assert (failed.status_code, "fake-" in failed.text) == (503, False)
    assert UsageRecord.objects.count() <= 1
    assert the_record().requested_model == "gpt-4o-mini"
