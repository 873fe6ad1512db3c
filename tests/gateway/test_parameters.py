"""Parameters that not every engine honours: sent to a replica that does, or refused by name. Never dropped."""

import json
from typing import Any

import pytest

from fleet.models import Replica
from protocol.parameters import NEEDS, needed
from tests.gateway.conftest import CAPABILITIES, HELLO, add_replica, post
from tests.gateway.fake_replica import FakeReplica

GOOD = {"model": "fake-1", "messages": HELLO}
TOOL = {"type": "function", "function": {"name": "f"}}
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("top_k", {"top_k": 5}),
    ("min_p", {"min_p": 0.1}),
    ("presence_penalty", {"presence_penalty": 0.5}),
    ("frequency_penalty", {"frequency_penalty": -0.5}),
    ("repetition_penalty", {"repetition_penalty": 1.2}),
    ("logit_bias", {"logit_bias": {"7": -100}}),
    ("min_tokens", {"min_tokens": 2}),
    ("ignore_eos", {"ignore_eos": True}),
    ("stop_token_ids", {"stop_token_ids": [5]}),
    ("logprobs", {"logprobs": True, "top_logprobs": 2}),
    ("n", {"n": 2}),
    ("response_format", {"response_format": {"type": "json_object"}}),
    ("structured_outputs", {"structured_outputs": {"regex": "a+"}}),
    ("tool_choice", {"tool_choice": "required", "tools": [TOOL]}),
    ("tool_choice", {"tool_choice": {"type": "function", "function": {"name": "f"}}, "tools": [TOOL]}),
    ("functions", {"functions": [{"name": "f"}], "function_call": {"name": "f"}}),
    ("parallel_tool_calls", {"parallel_tool_calls": False}),
]


@pytest.fixture
def able_fake(gateway):
    """A second replica, busier than the first, on an engine that honours everything."""
    other = FakeReplica()
    capabilities = ["sampling", "logprobs", "choices", "structured_output", "grammar", "tool_choice", "functions"]
    add_replica(other.url, capabilities=[*CAPABILITIES, *capabilities], num_running=5)
    gateway.refresh()
    yield other
    other.close()


@pytest.mark.parametrize(("param", "asked"), ASKED, ids=lambda item: item if isinstance(item, str) else "")
def test_a_request_goes_to_a_replica_that_honours_it_with_the_parameter_as_it_was(
    gateway, key, fake, able_fake, param, asked
):
    assert post(gateway, key, "/chat/completions", GOOD | asked).status_code == 200
    assert fake.bodies == []
    assert able_fake.bodies[0][param] == asked[param]


@pytest.mark.parametrize(("param", "asked"), ASKED, ids=lambda item: item if isinstance(item, str) else "")
def test_where_no_replica_honours_it_nobody_is_asked_and_the_refusal_names_it(gateway, key, fake, param, asked):
    refused = post(gateway, key, "/chat/completions", GOOD | asked)
    error = refused.json()["error"]
    assert (refused.status_code, error["param"], error["code"]) == (400, param, "unsupported_parameter")
    assert fake.bodies == []


def test_shortened_vectors_come_from_a_replica_that_shortens(gateway, key, fake):
    asked = {"model": "fake-1", "input": "a", "dimensions": 2}
    assert post(gateway, key, "/embeddings", asked).json()["error"]["param"] == "dimensions"
    Replica.objects.update(capabilities=[*CAPABILITIES, "dimensions"])
    gateway.refresh()
    assert post(gateway, key, "/embeddings", asked).status_code == 200
    assert fake.bodies == [asked]


def test_abilities_that_no_replica_has_together_are_refused_by_the_one_that_is_lacking(gateway, key, replica):
    Replica.objects.filter(pk=replica.pk).update(capabilities=[*CAPABILITIES, "sampling"])
    gateway.refresh()
    refused = post(gateway, key, "/chat/completions", GOOD | {"top_k": 5, "n": 2})
    assert refused.json()["error"]["param"] == "n"


def test_values_that_ask_for_nothing_need_nothing():
    neutral = {name: need.neutral[0] for name, need in NEEDS.items() if need.neutral}
    assert needed(json.loads(json.dumps(neutral))) == {}
    assert needed({"logprobs": 0}) == {"logprobs": "logprobs"}
    assert needed({"n": 1.0, "top_k": None}) == {}
