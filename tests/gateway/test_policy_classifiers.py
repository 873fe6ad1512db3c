"""A content policy may ask a model of the fleet what it finds in a text."""

import json
from collections.abc import Iterator

import pytest

from fleet.models import LanguageModel, Replica
from gateway.models import ContentAction, ContentPolicy, UsageRecord
from gateway.moderation.labelling import PIECE_CHARS
from tests.gateway.conftest import HELLO, add_replica, post, wait_until
from tests.gateway.fake_replica import FakeReplica, refuse

CHAT = "/chat/completions"
OFF, MARK, REFUSE = ContentAction.OFF, ContentAction.MARK, ContentAction.REFUSE


def say(text: str, **fields):
    return {"model": "fake-1", "messages": [{"role": "user", "content": text}], **fields}


@pytest.fixture
def judge() -> Iterator[FakeReplica]:
    """Finds "toxic" likely, by 0.8, in texts with powder or time in them; else by 0.2."""
    replica = FakeReplica()
    yield replica
    replica.close()


@pytest.fixture
def watch(gateway, judge):
    """A policy with a classifier."""

    def make(**fields) -> ContentPolicy:
        add_replica(judge.url, model="judge", capabilities=["moderation"])
        classifier = LanguageModel.objects.get(name="judge")
        policy = ContentPolicy.objects.create(**{"name": "gentle", "classifier": classifier} | fields)
        gateway.refresh()
        return policy

    return make


def test_a_question_that_the_classifier_finds_harmful_is_refused(watch, gateway, key, fake):
    watch(on_output=OFF)
    error = post(gateway, key, CHAT, say("gunpowder")).json()["error"]
    assert (error["code"], error["param"]) == ("content_policy_violation", "messages[0].content")
    assert fake.bodies == []


def test_a_label_below_the_threshold_does_not_count(watch, gateway, key):
    watch(on_output=OFF, threshold=0.9)
    assert post(gateway, key, CHAT, say("gunpowder")).status_code == 200


def test_a_label_that_means_no_harm_does_not_count(watch, gateway, key):
    watch(on_output=OFF)
    assert post(gateway, key, CHAT, say("Hello")).status_code == 200


def test_a_long_text_is_read_in_pieces_and_to_its_end(watch, gateway, key, judge):
    watch(on_output=OFF)
    assert post(gateway, key, CHAT, say("x " * 3000 + "gunpowder")).status_code == 400
    assert max(map(len, judge.bodies[0]["input"])) < 2 * PIECE_CHARS


def test_an_answer_is_read_as_well(watch, gateway, key):
    watch(on_input=OFF)
    assert post(gateway, key, CHAT, say("Hello")).json()["error"]["code"] == "content_policy_violation"


def test_a_marked_answer_says_so(watch, gateway, key):
    watch(on_input=OFF, on_output=MARK)
    headers = post(gateway, key, CHAT, say("Hello")).headers
    assert headers["x-flotilla-content-policy"] == "gentle; action=mark; in=output"


def test_of_a_stream_nothing_goes_out_unread(watch, gateway, key):
    watch(on_input=OFF)
    answer = post(gateway, key, CHAT, say("Hello", stream=True))
    assert "Once" not in answer.text
    assert json.loads(answer.text.split("\n\n")[-3][6:])["error"]["code"] == "content_policy_violation"


def test_a_stream_in_which_nothing_is_found_comes_whole(watch, gateway, key):
    watch(on_input=OFF, threshold=0.9)
    answer = post(gateway, key, CHAT, say("Hello", stream=True))
    assert [word in answer.text for word in ("Once", " upon", " time", "[DONE]")] == [True] * 4


def test_what_the_classifier_used_is_on_nobodys_account(watch, gateway, key, user):
    watch(on_output=OFF)
    post(gateway, key, CHAT, say("Hello"))
    wait_until(lambda: UsageRecord.objects.count() == 2)
    asked = UsageRecord.objects.get(model="judge")
    assert (asked.user_id, asked.key_name, asked.prompt_tokens) == (None, "content policy", 3)


@pytest.mark.parametrize(("action", "status"), [(REFUSE, 503), (MARK, 200)])
def test_a_policy_that_refuses_lets_nothing_pass_unread(watch, gateway, key, judge, action, status):
    judge.behave = refuse(500)
    watch(on_input=action, on_output=OFF)
    answer = post(gateway, key, CHAT, say("Hello"))
    assert answer.status_code == status
    if status == 503:
        assert answer.json()["error"]["code"] == "content_policy_unavailable"


def test_a_classifier_without_a_replica_is_one_that_cannot_be_asked(watch, gateway, key):
    watch(on_output=OFF)
    Replica.objects.filter(deployment__model__name="judge").delete()
    gateway.refresh()
    assert post(gateway, key, CHAT, {"model": "fake-1", "messages": HELLO}).status_code == 503
