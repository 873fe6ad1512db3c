"""A provider with OpenAI's API answers as if a worker did: the caller cannot tell, except that it is never offline."""

import openai
import pytest
from django.utils.timezone import now

from fleet.models import Provider
from gateway import runtime
from gateway.models import CountSource, UsageState
from tests.gateway.conftest import HELLO, add_replica, post, the_record, wait_until
from tests.gateway.providers.openai_server import MODEL, USAGE, WORDS, error
from tests.gateway.providers.server import KEY, Refusal

STORY = "".join(WORDS)
ASKED = {"model": "story", "messages": HELLO}
STREAM = ASKED | {"stream": True}


@pytest.fixture
def server(openai_server, offer):
    offer(openai_server.url)
    return openai_server


def test_a_chat_is_answered_under_our_name_of_the_model(client, server):
    answer = client.chat.completions.create(**ASKED)
    assert (answer.choices[0].message.content, answer.model) == (STORY, "story")
    assert server.bodies[0]["model"] == MODEL


def test_a_chat_is_streamed_under_our_name_of_the_model(client, server):
    chunks = list(client.chat.completions.create(**STREAM))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == STORY
    assert {chunk.model for chunk in chunks} == {"story"}


def test_a_text_is_embedded(client, openai_server, offer):
    offer(openai_server.url, model="vectors", upstream_name="text-embedding-tiny", capabilities=["embeddings"])
    answer = client.embeddings.create(model="vectors", input="Hello", encoding_format="float")
    assert (answer.data[0].embedding, answer.model) == ([0.6, 0.8], "vectors")


def test_a_recording_is_sent_as_a_form_under_the_providers_name_of_the_model(client, openai_server, offer):
    offer(openai_server.url, model="ears", upstream_name="whisper-tiny", capabilities=["transcription"])
    told = client.audio.transcriptions.create(model="ears", file=("a.wav", b"Hello there", "audio/wav"))
    assert told.text == "Hello there"


def test_it_is_listed_with_what_it_can_do(client, server):
    assert client.models.retrieve("story").capabilities == ["chat", "tools"]


def test_what_was_used_is_on_record_with_the_providers_name(client, server):
    list(client.chat.completions.create(**STREAM))
    record = the_record()
    assert (record.state, record.count_source, record.worker_name) == (
        UsageState.COMPLETE,
        CountSource.ENGINE,
        "cloud 0",
    )
    assert (record.prompt_tokens, record.completion_tokens) == (USAGE["prompt_tokens"], USAGE["completion_tokens"])


def test_the_caller_sees_no_usage_chunk_unless_asked_for(client, server):
    assert all(chunk.choices for chunk in client.chat.completions.create(**STREAM))
    *_, last = client.chat.completions.create(**STREAM, stream_options={"include_usage": True})
    assert last.usage.prompt_tokens_details.cached_tokens == 2


def test_it_sees_its_own_key_and_nothing_of_ours(client, server, key):
    client.chat.completions.create(**ASKED)
    headers = server.headers[0]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert key not in str(headers)
    assert not any("flotilla" in name.lower() for name in headers)


def test_a_provider_that_does_not_know_stream_options_is_counted_all_the_same(client, openai_server, offer):
    openai_server.knows_stream_options = False
    offer(openai_server.url, kind="mistral")
    list(client.chat.completions.create(**STREAM))
    assert the_record().prompt_tokens == USAGE["prompt_tokens"]


def test_extra_headers_and_the_api_version_go_along(client, server, gateway):
    Provider.objects.update(headers={"X-Title": "ours"}, api_version="2026-01-01")
    gateway.refresh()
    client.chat.completions.create(**ASKED)
    assert server.headers[0]["X-Title"] == "ours"


def test_hanging_up_closes_the_connection_to_the_provider(client, server):
    server.lingers = True
    stream = client.chat.completions.create(**STREAM)
    next(chunk for chunk in stream if chunk.choices[0].delta.content)
    stream.close()
    assert server.left.wait(30)
    record = the_record()
    assert (record.state, record.count_source, record.completion_tokens) == (
        UsageState.CUT_BY_CLIENT,
        CountSource.ESTIMATED,
        1,
    )


def test_a_refused_credential_is_our_fault_and_not_the_callers(gateway, key, server, caplog):
    server.key = "another"
    refused = post(gateway, key, "/chat/completions", ASKED)
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_failed")
    assert "key" not in refused.text
    assert "cloud 0 answered 401" in caplog.text
    assert KEY not in caplog.text


def test_an_account_without_money_is_our_fault_too(gateway, key, server):
    server.fault = lambda: error(429, "You exceeded your current quota.", code="insufficient_quota")
    assert post(gateway, key, "/chat/completions", ASKED).status_code == 502


def test_the_providers_own_words_about_the_request_are_passed_on(client, server):
    server.fault = lambda: error(400, "Too long.", code="context_length_exceeded", param="messages")
    with pytest.raises(openai.BadRequestError, match="Too long") as refused:
        client.chat.completions.create(**ASKED)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")


@pytest.mark.parametrize("payload", [[{"error": {"message": "Bad."}}], {"object": "error", "message": "Bad."}])
def test_so_are_those_in_other_shapes(client, server, payload):
    server.fault = lambda: Refusal(400, payload)
    with pytest.raises(openai.BadRequestError, match="Bad"):
        client.chat.completions.create(**ASKED)


def test_a_full_provider_says_when_to_come_back_and_nothing_of_our_account(gateway, key, server):
    server.fault = lambda: error(429, "Rate limit for org-secret.", code="rate_limit_exceeded", **{"Retry-After": "17"})
    refused = post(gateway, key, "/chat/completions", ASKED)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "17")
    assert "org-secret" not in refused.text


def test_one_that_is_full_for_a_moment_only_is_waited_for(gateway, key, server):
    full = error(429, "Slow down.", code="rate_limit_exceeded", **{"Retry-After": "1"})
    server.fault = lambda: full if len(server.headers) == 1 else None
    assert post(gateway, key, "/chat/completions", ASKED).status_code == 200
    assert len(server.headers) == 2


@pytest.mark.parametrize("status", [401, 402, 404, 429, 500, 503, 504, 302])
@pytest.mark.parametrize("body", [ASKED, STREAM], ids=["plain", "stream"])
def test_a_fault_of_the_provider_is_a_second_try_on_another_replica(gateway, key, server, fake, status, body):
    add_replica(fake.url, model="story")
    gateway.refresh()
    server.fault = lambda: error(status, "No.")
    answers = [post(gateway, key, "/chat/completions", body).status_code for _ in range(4)]
    assert answers == [200] * 4


def test_a_comment_is_no_answer_yet(gateway, key, server, fake):
    add_replica(fake.url, model="story")
    gateway.refresh()
    server.comments, server.dies = True, "after a comment"
    answers = [post(gateway, key, "/chat/completions", STREAM).text for _ in range(4)]
    assert not any("error" in answer for answer in answers)


def test_a_stream_that_breaks_ends_with_an_error_event(client, server):
    server.dies = True
    with pytest.raises(openai.APIError, match="middle of the answer"):
        list(client.chat.completions.create(**STREAM))
    assert the_record().state == UsageState.CUT_BY_UPSTREAM


def test_a_provider_that_is_disabled_gets_no_requests_and_its_models_are_gone(client, server, gateway):
    Provider.objects.update(is_enabled=False)
    gateway.refresh()
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**ASKED)


def test_a_provider_needs_no_heartbeat(client, server, time_machine, settings):
    time_machine.move_to(now() + 100 * settings.SILENT_AFTER)
    assert client.chat.completions.create(**ASKED).choices


def test_no_place_is_kept_when_all_is_over(client, server):
    client.chat.completions.create(**ASKED)
    wait_until(lambda: not runtime.current().balancer.in_flight)
