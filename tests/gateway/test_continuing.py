"""A stream whose replica dies goes on from another, and the client sees no seam."""

import json

import openai
import pytest

from fleet.models import Replica
from gateway.models import CountSource, UsageRecord, UsageState
from tests.gateway.conftest import CAPABILITIES, HELLO, add_replica, post, the_record, wait_until
from tests.gateway.fake_replica import (
    USAGE,
    WORDS,
    FakeReplica,
    begin_stream,
    chunk,
    die_after_one_word,
    fail_after_one_word,
    one_word_then_wait,
    usage_chunk,
)

STREAM = {"model": "fake-1", "messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}
BY_TOKENS = [*CAPABILITIES, "continuation", "resume"]
BY_TEXT = [*CAPABILITIES, "continuation"]


def word(body, number: int) -> bytes:
    """A delta, with its token id where the gateway asked for ids."""
    payload = json.loads(chunk(body["model"], {"content": WORDS[number]}).removeprefix(b"data: "))
    if body.get("return_token_ids"):
        payload["choices"][0]["token_ids"] = [number]
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"


async def die_after_two_words(replica, request, body):
    response = await begin_stream(request, body)
    for number in range(2):
        await response.write(word(body, number))
    request.transport.abort()
    return response


async def say_the_rest(replica, request, body):
    """From wherever the gateway says that the answer stands, under an identity of its own."""
    response = await begin_stream(request, body)
    num_said = len(body["resume"]["token_ids"]) if "resume" in body else len(body["messages"]) * 2 - 2
    parts = [*(word(body, number) for number in range(num_said, 4)), chunk(body["model"], {}, "stop")]
    for part in [*parts, usage_chunk(body["model"])]:
        await response.write(part.replace(b"chatcmpl-1", b"chatcmpl-2"))
    await response.write(b"data: [DONE]\n\n")
    return response


@pytest.fixture
def second(gateway):
    fake = FakeReplica()
    yield fake
    fake.close()


@pytest.fixture
def pair(gateway, replica, fake, second):
    """`pair(capabilities)`: the first replica dies after two words, the second says the rest."""

    def make(capabilities):
        # The first is asked first: it is the less loaded one.
        Replica.objects.filter(pk=replica.pk).update(capabilities=capabilities)
        add_replica(second.url, capabilities=capabilities, num_running=4)
        gateway.refresh()
        fake.behave, second.behave = die_after_two_words, say_the_rest
        return fake, second

    return make


def chunks_of(client, **asked):
    return list(client.chat.completions.create(**STREAM | asked))


def text_of(chunks) -> str:
    return "".join(piece.choices[0].delta.content or "" for piece in chunks if piece.choices)


@pytest.mark.parametrize("capabilities", [BY_TOKENS, BY_TEXT], ids=["by tokens", "by text"])
def test_the_client_sees_one_answer(client, pair, capabilities):
    pair(capabilities)
    chunks = chunks_of(client)
    assert text_of(chunks) == "".join(WORDS)
    assert {piece.id for piece in chunks} == {"chatcmpl-1"}
    assert [piece.choices[0].delta.role for piece in chunks if piece.choices].count("assistant") == 1
    assert [piece.choices[0].finish_reason for piece in chunks if piece.choices][-1] == "stop"
    assert all("token_ids" not in piece.choices[0].model_extra for piece in chunks if piece.choices)


def test_an_engine_that_tells_its_tokens_gets_them_back(client, pair):
    _, second = pair(BY_TOKENS)
    usage = chunks_of(client)[-1].usage
    assert second.bodies[0]["resume"] == {"token_ids": [0, 1], "num_chars": len(WORDS[0] + WORDS[1])}
    assert second.bodies[0]["messages"] == HELLO
    assert (usage.prompt_tokens, usage.completion_tokens) == (USAGE["prompt_tokens"], USAGE["completion_tokens"])


def test_any_other_engine_is_given_the_text_to_go_on_from(client, pair):
    _, second = pair(BY_TEXT)
    chunks_of(client, max_tokens=100)
    asked = second.bodies[0]
    assert asked["messages"] == [*HELLO, {"role": "assistant", "content": WORDS[0] + WORDS[1]}]
    assert (asked["continue_final_message"], asked["add_generation_prompt"]) == (True, False)
    assert asked["max_tokens"] == 98
    assert "return_token_ids" not in asked


def test_a_beginning_that_the_client_gave_is_continued_with_what_was_said(client, pair):
    _, second = pair(BY_TEXT)
    begun = [*HELLO, {"role": "assistant", "content": "Well: "}]
    chunks_of(client, messages=begun, extra_body={"continue_final_message": True, "add_generation_prompt": False})
    assert second.bodies[0]["messages"][-1]["content"] == "Well: " + WORDS[0] + WORDS[1]


def test_what_was_said_before_counts_as_answer_not_as_prompt(client, pair):
    pair(BY_TEXT)
    usage = chunks_of(client)[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        USAGE["prompt_tokens"] - 2,
        USAGE["completion_tokens"] + 2,
    )
    assert the_record().count_source == CountSource.ESTIMATED


def test_it_leaves_one_record_which_names_the_worker_that_ended_it(client, pair):
    pair(BY_TOKENS)
    chunks_of(client)
    record = the_record()
    assert (record.state, record.worker_name, record.status_code) == (UsageState.COMPLETE, "box 1", 200)
    assert (record.count_source, record.completion_tokens) == (CountSource.ENGINE, USAGE["completion_tokens"])


def test_an_engine_that_says_that_it_failed_is_succeeded_as_well(client, pair):
    fake, _ = pair(BY_TOKENS)
    fake.behave = fail_after_one_word
    assert text_of(chunks_of(client)).startswith(WORDS[0])
    assert the_record().state == UsageState.COMPLETE


def test_one_that_died_before_its_first_word_is_simply_asked_again_elsewhere(client, pair):
    async def die_at_once(replica, request, body):
        response = await begin_stream(request, body)
        request.transport.abort()
        return response

    fake, second = pair(CAPABILITIES)
    fake.behave = die_at_once
    chunks = chunks_of(client)
    assert text_of(chunks) == "".join(WORDS)
    assert [piece.choices[0].delta.role for piece in chunks if piece.choices].count("assistant") == 1
    assert second.bodies[0]["messages"] == HELLO


def ends_with_an_error(gateway, key) -> bool:
    *_, error, done, rest = post(gateway, key, "/chat/completions", STREAM).text.split("\n\n")
    return "error" in json.loads(error.removeprefix("data: ")) and (done, rest) == ("data: [DONE]", "")


def test_where_no_engine_can_go_on_the_client_hears_of_it(gateway, key, pair):
    pair(CAPABILITIES)
    assert ends_with_an_error(gateway, key)
    assert the_record().state == UsageState.CUT_BY_UPSTREAM


def test_after_a_tool_call_nobody_goes_on(gateway, key, pair):
    async def call_and_die(replica, request, body):
        response = await begin_stream(request, body)
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        await response.write(chunk(body["model"], {"tool_calls": [call]}))
        request.transport.abort()
        return response

    fake, second = pair(BY_TOKENS)
    fake.behave = call_and_die
    assert ends_with_an_error(gateway, key)
    assert not second.bodies


def test_a_request_that_kills_every_engine_does_not_go_through_the_whole_fleet(gateway, key, pair):
    fake, second = pair(BY_TEXT)
    others = [FakeReplica() for _ in range(4)]
    for each in (fake, second, *others):
        each.behave = die_after_one_word
    for other in others:
        add_replica(other.url, capabilities=BY_TEXT)
    gateway.refresh()
    assert ends_with_an_error(gateway, key)
    assert sum(len(each.bodies) for each in (fake, second, *others)) == 3
    for other in others:
        other.close()


def test_a_client_that_leaves_stops_the_engine_that_went_on(gateway, key, pair):
    _, second = pair(BY_TOKENS)
    second.behave = one_word_then_wait
    with openai.OpenAI(base_url=gateway.url, api_key=key, max_retries=0) as client:
        stream = client.chat.completions.create(**STREAM)
        for _ in range(4):
            next(stream)
        stream.close()
    wait_until(lambda: second.cancelled)
    assert the_record().state == UsageState.CUT_BY_CLIENT
    assert UsageRecord.objects.count() == 1


def test_a_text_that_looks_like_token_ids_is_passed_on_untouched(client, pair):
    wicked = 'a,"token_ids":[1,2] b'

    async def say_it(replica, request, body):
        response = await begin_stream(request, body)
        payload = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        choice = {"index": 0, "delta": {"content": wicked}, "finish_reason": "stop", "token_ids": [1]}
        compact = json.dumps(payload | {"choices": [choice]}, separators=(",", ":"))
        await response.write(f"data: {compact}\n\n".encode())
        await response.write(usage_chunk(body["model"]))
        await response.write(b"data: [DONE]\n\n")
        return response

    fake, _ = pair(BY_TOKENS)
    fake.behave = say_it
    chunks = chunks_of(client)
    assert text_of(chunks) == wicked
    assert all("token_ids" not in piece.choices[0].model_extra for piece in chunks if piece.choices)
