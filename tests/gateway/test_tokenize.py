"""What a prompt is in tokens, before anybody pays for an answer."""

import pytest

from fleet.models import Replica
from gateway import runtime
from gateway.models import UsageRecord
from tests.gateway.conftest import HELLO, post, the_record

CHECK = "/../api/v1/token_check"


def test_a_prompt_is_counted_and_leaves_a_record_without_tokens(gateway, key):
    answer = post(gateway, key, "/tokenize", {"model": "fake-1", "prompt": "one two"})
    assert answer.json() == {"count": 2, "max_model_len": 4096, "tokens": [0, 1]}
    record = the_record()
    assert (record.endpoint, record.status_code, record.prompt_tokens) == ("tokenize", 200, 0)


def test_a_chat_is_counted(gateway, key):
    assert post(gateway, key, "/tokenize", {"model": "fake-1", "messages": HELLO}).json()["count"] == 1


@pytest.mark.parametrize("body", [{}, {"prompt": "a", "messages": HELLO}], ids=["neither", "both"])
def test_it_is_either_a_prompt_or_a_chat(gateway, key, body):
    answer = post(gateway, key, "/tokenize", {"model": "fake-1", **body})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")


def test_a_model_whose_engine_does_not_tell_its_tokens_says_so(gateway, key):
    Replica.objects.update(capabilities=["chat"])
    gateway.refresh()
    answer = post(gateway, key, "/tokenize", {"model": "fake-1", "prompt": "one two"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_model")


def test_fastchats_question_is_answered_in_its_words(gateway, key):
    prompts = [{"model": "fake-1", "prompt": "one two", "max_tokens": limit} for limit in (4094, 4095)]
    answer = post(gateway, key, CHECK, {"prompts": prompts})
    assert answer.json()["prompts"] == [
        {"fits": True, "tokenCount": 2, "contextLength": 4096},
        {"fits": False, "tokenCount": 2, "contextLength": 4096},
    ]
    runtime.current().journal.write_up()
    assert UsageRecord.objects.count() == 2


@pytest.mark.parametrize(
    ("prompts", "param"),
    [
        ([{"model": "fake-1", "prompt": "a", "max_tokens": -1}], "prompts[0].max_tokens"),
        ([{"model": "fake-1", "prompt": "a", "max_tokens": 1}] * 17, "prompts"),
        ([{"model": "none", "prompt": "a", "max_tokens": 1}], "model"),
    ],
    ids=["negative", "many", "unknown"],
)
def test_a_bad_question_is_refused_by_its_name(gateway, key, prompts, param):
    assert post(gateway, key, CHECK, {"prompts": prompts}).json()["error"]["param"] == param


def test_nobody_asks_it_without_a_key(gateway):
    assert post(gateway, "sk-wrong", CHECK, {"prompts": []}).status_code == 401
