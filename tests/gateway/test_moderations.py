"""Texts are judged by the content policies, or by a model that classifies."""

import openai
import pytest
from openai.types import ModerationCreateResponse

from accounts.models import Team
from fleet.models import Replica
from gateway.models import ContentPolicy, UsageState
from tests.gateway.conftest import CAPABILITIES, post, the_record

PATH = "/moderations"


@pytest.fixture
def policy(gateway) -> ContentPolicy:
    policy = ContentPolicy.objects.create(name="house rules", words="gunpowder")
    gateway.refresh()
    return policy


@pytest.fixture
def able(gateway):
    Replica.objects.update(capabilities=[*CAPABILITIES, "moderation"])
    gateway.refresh()


def test_each_text_is_judged_by_the_policies(policy, client):
    results = client.moderations.create(input=["Some gunpowder, please.", "Hello"]).results
    assert [result.flagged for result in results] == [True, False]
    assert results[0].categories.to_dict()["house rules"] is True
    assert results[0].category_scores.to_dict()["house rules"] == 1.0


@pytest.mark.parametrize("model", [None, "omni-moderation-latest", "text-moderation-latest"])
def test_the_answer_has_openais_shape_whatever_name_of_theirs_is_given(policy, gateway, key, model):
    body = {"input": "Hello"} | ({"model": model} if model else {})
    answer = post(gateway, key, PATH, body)
    told = ModerationCreateResponse.model_validate(answer.json(), strict=True)
    assert told.model == (model or "omni-moderation-latest")
    assert told.results[0].categories.violence is False


def test_parts_of_one_text_get_one_result(policy, client):
    parts = [{"type": "text", "text": "gun"}, {"type": "text", "text": "powder"}]
    assert [result.flagged for result in client.moderations.create(input=parts).results] == [True]


def test_a_judgement_leaves_one_record(policy, gateway, key, fake):
    post(gateway, key, PATH, {"input": "gunpowder"})
    record = the_record()
    assert (record.endpoint, record.state, record.content_action) == ("moderations", UsageState.COMPLETE, "")
    assert (record.num_attempts, fake.bodies) == (0, [])


def test_without_any_policy_nothing_is_called_harmless(gateway, key):
    answer = post(gateway, key, PATH, {"input": "gunpowder"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "no_content_policy"
    assert the_record().state == UsageState.REFUSED


def test_without_any_policy_a_model_that_classifies_is_asked(able, gateway, key, fake):
    answer = post(gateway, key, PATH, {"input": "gunpowder"})
    assert fake.bodies == [{"model": "fake-1", "input": ["gunpowder"]}]
    assert answer.json()["results"][0]["flagged"] is True


def test_the_policies_of_other_teams_do_not_judge(policy, gateway, key):
    policy.for_teams.add(Team.objects.create(name="interns"))
    gateway.refresh()
    assert post(gateway, key, PATH, {"input": "gunpowder"}).json()["error"]["code"] == "no_content_policy"


def test_a_model_that_classifies_is_asked_by_its_name(policy, able, gateway, key, fake):
    answer = post(gateway, key, PATH, {"model": "fake-1", "input": "gunpowder"})
    assert fake.bodies == [{"model": "fake-1", "input": ["gunpowder"]}]
    assert answer.json()["results"][0]["categories"] == {"toxic": True}
    assert the_record().prompt_tokens == 3


def test_a_model_that_does_not_says_so(gateway, key):
    error = post(gateway, key, PATH, {"model": "fake-1", "input": "gunpowder"}).json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_model", "model")


@pytest.mark.parametrize(
    "value",
    [
        [],
        [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}],
        ["text", {"type": "text", "text": "part"}],
        [1, 2],
        None,
    ],
)
def test_what_cannot_be_judged_is_refused_by_its_name(policy, gateway, key, value):
    answer = post(gateway, key, PATH, {"input": value})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith("input")


def test_openais_client_hears_a_refusal(gateway, client):
    with pytest.raises(openai.BadRequestError):
        client.moderations.create(input="Hello")
