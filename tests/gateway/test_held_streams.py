"""A streamed answer is held back for as long as something forbidden may begin in it."""

import asyncio
import json

import openai
import pytest

from gateway.errors import ContentRefused
from gateway.models import ContentAction, ContentPolicy, UsageState
from gateway.moderation.holding import MAX_HELD_BYTES, HeldStream
from gateway.moderation.matching import Matcher
from gateway.moderation.policies import Rule
from tests.gateway.conftest import HELLO, add_replica, post, the_record, wait_until
from tests.gateway.fake_replica import FakeReplica, begin_stream, chunk, die_after_one_word, event

CHAT = "/chat/completions"
GOOD = {"model": "fake-1", "messages": HELLO, "stream": True}
DONE = b"data: [DONE]\n\n"


def rule(*words: str, hold_back: int = 10, action=ContentAction.REFUSE, name: str = "rules") -> Rule:
    return Rule(
        name=name,
        on_input=ContentAction.OFF,
        on_output=action,
        matcher=Matcher(words, []),
        models=None,
        team_ids=None,
        hold_back=hold_back,
        keeps_text=False,
    )


class Heard:
    """A held stream, and what came of it."""

    def __init__(self, *rules: Rule) -> None:
        self.findings = []
        self._stream = HeldStream(rules, self._note)
        self.out = b""

    def _note(self, findings) -> None:
        self.findings += findings
        if any(finding.is_refused for finding in findings):
            raise ContentRefused("rules")

    def say(self, *texts: str) -> "Heard":
        return self.send(*(chunk("m", {"content": text}) for text in texts))

    def send(self, *events: bytes) -> "Heard":
        for one in events:
            out, refusal = self._stream.pass_on(one)
            self.out += out
            if refusal:
                raise refusal
        return self

    @property
    def said(self) -> str:
        """What a client has read of the first choice."""
        chunks = [json.loads(part[6:]) for part in self.out.split(b"\n\n") if part and part != b"data: [DONE]"]
        return "".join(choice["delta"].get("content") or "" for one in chunks for choice in one["choices"])


def reasoning(text: str) -> bytes:
    return chunk("m", {"reasoning_content": text})


def arguments(text: str, index: int = 0) -> bytes:
    return chunk("m", {"tool_calls": [{"index": index, "function": {"arguments": text}}]})


def of_choice(index: int, text: str) -> bytes:
    return event({"choices": [{"index": index, "delta": {"content": text}, "finish_reason": None}]})


def test_text_goes_out_once_enough_has_come_after_it():
    heard = Heard(rule("x")).say("12345", "67890")
    assert heard.said == ""
    assert heard.say("12345").said == "12345"


def test_everything_goes_out_at_the_end_and_in_its_order():
    heard = Heard(rule("x"))
    events = [chunk("m", {"content": "Once"}), chunk("m", {}, "stop"), event({"choices": [], "usage": {}}), DONE]
    assert heard.send(*events).out == b"".join(events)


def test_what_lies_well_before_a_match_goes_out_though_it_came_with_it():
    heard = Heard(rule("gunpowder"))
    with pytest.raises(ContentRefused):
        heard.send(b"".join(chunk("m", {"content": text}) for text in ("Fine. ", "Quite all right. ", "gunpowder!!")))
    assert heard.said == "Fine. "


@pytest.mark.parametrize("pieces", [("gun", "powder "), (*"gunpowder", "!"), ("a gunp", "o", "wder."), ("gunpowder ",)])
def test_a_match_over_the_seams_of_events_is_never_shown(pieces):
    heard = Heard(rule("gunpowder")).say("Take some ", "of the ")
    with pytest.raises(ContentRefused):
        heard.say(*pieces, "..")
    assert "g" not in heard.said


def test_a_word_that_turns_out_longer_is_no_match():
    heard = Heard(rule("ass")).say("an ", "ass", "istant").send(chunk("m", {}, "stop"), DONE)
    assert heard.said == "an assistant"


def test_a_word_at_the_very_end_is_a_match():
    with pytest.raises(ContentRefused):
        Heard(rule("ass")).say("an ", "ass").send(DONE)


def test_no_word_is_longer_than_what_is_held_back():
    heard = Heard(rule("abcdefghijklmnop", hold_back=0))
    with pytest.raises(ContentRefused):
        heard.say(*"abcdefghijklmnop ..")
    assert heard.said == ""


def test_where_the_text_is_cut_off_no_word_begins():
    heard = Heard(rule("ass"))
    heard.say("gr", *(["ass" * 70] * 5)).send(DONE)
    assert heard.said.endswith("ass")


@pytest.mark.parametrize("field", [reasoning, arguments])
def test_reasoning_and_the_arguments_of_tools_are_read_like_text(field):
    with pytest.raises(ContentRefused):
        Heard(rule("gunpowder")).send(field("gun"), field('powder", 1'))


def test_what_stands_in_two_fields_or_choices_is_no_match():
    events = [
        reasoning("gun"),
        *map(arguments, ["gun"]),
        arguments("powder ", 1),
        of_choice(0, "gun"),
        of_choice(1, "powder "),
    ]
    assert Heard(rule("gunpowder")).send(*events, DONE).findings == []


def test_a_field_that_has_ended_does_not_hold_up_the_next():
    heard = Heard(rule("x", hold_back=50)).send(reasoning("so")).say("y" * 30, "z" * 60)
    assert heard.said == "y" * 30


def test_one_choice_waits_for_its_own_text_alone():
    heard = Heard(rule("x")).send(of_choice(0, "12345"), of_choice(1, "1234567890" * 3))
    assert heard.out == b""


def test_what_is_held_is_bounded():
    heard = Heard(rule("x")).send(of_choice(0, "lonely"))
    for _ in range(MAX_HELD_BYTES // 1000 + 10):
        heard.send(of_choice(1, "y" * 1000))
    assert b"lonely" in heard.out


def test_a_policy_that_marks_holds_nothing_back_and_marks_once():
    heard = Heard(rule("up", action=ContentAction.MARK)).say("what is up ", "with up ")
    assert heard.said == "what is up with up "
    assert [finding.action for finding in heard.findings] == ["mark"]


def test_a_comment_is_not_held():
    assert Heard(rule("x")).say("y").send(b": still here\n\n").out == b": still here\n\n"


def test_what_is_no_chunk_is_no_way_around():
    with pytest.raises(ContentRefused):
        Heard(rule("gunpowder")).send(b"data: {gunpowder }\n\n", DONE)


async def _forbidden_then_wait(replica, request, body):
    response = await begin_stream(request, body)
    # From before the words on: the cancellation comes as soon as they are read.
    cancelled = asyncio.ensure_future(replica.until_cancelled(request))
    for word in ["All of this may be said. ", "This may not: ", "gun", "powder", ", and more"]:
        await response.write(chunk(body["model"], {"content": word}))
    await cancelled
    return response


@pytest.fixture
def forbidding(gateway):
    ContentPolicy.objects.create(name="house rules", words="gunpowder\na time\n", hold_back=20)
    gateway.refresh()


def test_a_refused_stream_ends_with_openais_error_and_stops_the_engine(forbidding, gateway, key, fake):
    fake.behave = _forbidden_then_wait
    answer = post(gateway, key, CHAT, GOOD)
    *_, error, done = answer.text.strip().split("\n\n")
    assert json.loads(error[6:])["error"] == {
        "message": "The model's answer is refused by the content policy 'house rules'. Ask for something else.",
        "type": "invalid_request_error",
        "param": None,
        "code": "content_policy_violation",
    }
    assert done == "data: [DONE]"
    assert "All of this" in answer.text
    assert "gun" not in answer.text
    wait_until(lambda: fake.cancelled)


def test_a_refused_stream_leaves_one_record_with_its_tokens(forbidding, gateway, key, fake):
    fake.behave = _forbidden_then_wait
    post(gateway, key, CHAT, GOOD)
    record = the_record()
    assert (record.state, record.error_code) == (UsageState.REFUSED, "content_policy_violation")
    assert (record.content_policy, record.content_direction) == ("house rules", "output")
    assert (record.prompt_tokens, record.completion_tokens) == (7, 2)


def test_what_is_found_in_the_last_word_is_refused_though_the_engine_has_ended(forbidding, gateway, key):
    answer = post(gateway, key, CHAT, GOOD)
    assert "content_policy_violation" in answer.text
    assert "upon" not in answer.text
    assert the_record().completion_tokens == 4


def test_openais_client_raises_the_refusal(forbidding, client):
    with pytest.raises(openai.APIError) as refused:
        list(client.chat.completions.create(**GOOD))
    assert refused.value.code == "content_policy_violation"


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/messages", GOOD | {"max_tokens": 50}, '"type":"invalid_request_error"'),
        ("/responses", {"model": "fake-1", "input": "Hello", "stream": True}, '"status":"failed"'),
        ("/completions", {"model": "fake-1", "prompt": "Hello", "stream": True}, "content_policy_violation"),
    ],
)
def test_every_door_refuses_in_its_own_words(forbidding, gateway, key, path, body, said):
    answer = post(gateway, key, path, body)
    assert said in answer.text
    assert "house rules" in answer.text
    assert "a time" not in answer.text


def test_a_stream_that_goes_on_elsewhere_is_still_read_over_the_seam(forbidding, gateway, key, fake):
    fake.behave = die_after_one_word
    second = FakeReplica()
    try:
        add_replica(second.url, num_running=1, capabilities=["chat", "continuation"])
        gateway.refresh()
        answer = post(gateway, key, CHAT, GOOD)
    finally:
        second.close()
    assert second.bodies
    assert "content_policy_violation" in answer.text
