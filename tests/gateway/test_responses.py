"""OpenAI's client speaks to /v1/responses, and every event is what its types say."""

from datetime import timedelta
from typing import Any

import openai
import pytest
from django.contrib.auth import get_user_model
from django.utils.timezone import now
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.issuing import issue_key
from gateway.models import StoredResponse, UsageState
from gateway.tasks import prune_responses
from tests.gateway import fake_replica
from tests.gateway.conftest import post, the_record
from tests.gateway.fake_replica import USAGE, WORDS, chunk, fail_after_one_word

STORY = "".join(WORDS)
HELLO: dict[str, Any] = {"model": "fake-1", "input": "Hello"}
EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather there.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


def answering(*deltas: dict[str, Any], finish_reason: str = "stop") -> fake_replica.Behaviour:
    """A replica that streams these."""

    async def behave(replica, request, body):
        response = await fake_replica.begin_stream(request, body)
        for delta in deltas:
            await response.write(chunk("fake-1", delta))
        await response.write(chunk("fake-1", {}, finish_reason))
        await response.write(fake_replica.usage_chunk("fake-1"))
        await response.write(b"data: [DONE]\n\n")
        return response

    return behave


def call(index: int, **function: str) -> dict[str, Any]:
    identity = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
    return {"tool_calls": [{"index": index, **identity, "function": {"arguments": "", **function}}]}


def checked(event: Any) -> Any:
    """The event, if it is one by the letter of OpenAI's types."""
    EVENTS.validate_python(event.model_dump(), strict=True)
    return event


def test_a_response_is_answered_and_counted_once(client):
    answer = client.responses.create(**HELLO, instructions="Be brief.", metadata={"a": "b"})
    assert (answer.output_text, answer.status, answer.usage.total_tokens) == (STORY, "completed", USAGE["total_tokens"])
    assert (answer.instructions, answer.metadata, answer.model) == ("Be brief.", {"a": "b"}, "fake-1")
    Response.model_validate(answer.model_dump(), strict=True)
    record = the_record()
    assert (record.state, record.completion_tokens) == (UsageState.COMPLETE, 4)
    assert answer.id == f"resp_{record.request_id[4:]}"


def test_a_stream_has_openais_events_in_their_order_without_a_gap(client):
    events = [checked(event) for event in client.responses.create(**HELLO, stream=True)]
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * len(WORDS),
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_the_clients_own_stream_adds_up_to_the_response(client):
    with client.responses.stream(**HELLO) as stream:
        response = stream.get_final_response()
    assert (response.output_text, response.usage.output_tokens) == (STORY, 4)


def test_reasoning_text_and_calls_stream_as_items_of_their_own(client, fake):
    fake.behave = answering(
        {"reasoning_content": "Cologne, then"},
        {"content": "Let me see."},
        call(0, name="weather"),
        call(0, arguments='{"city":'),
        call(0, arguments='"Köln"}'),
        call(1, name="clock"),
        finish_reason="tool_calls",
    )
    events = [checked(event) for event in client.responses.create(**HELLO, tools=[WEATHER], stream=True)]
    reasoning, text, weather, clock = events[-1].response.output
    assert (reasoning.content[0].text, text.content[0].text) == ("Cologne, then", "Let me see.")
    assert (weather.name, weather.call_id, weather.arguments) == ("weather", "call_0", '{"city":"Köln"}')
    assert (clock.name, clock.arguments) == ("clock", "")


def test_an_answer_that_was_cut_is_incomplete_and_says_why(client, fake):
    fake.behave = answering({"content": "Once"}, finish_reason="length")
    *_, last = client.responses.create(**HELLO, max_output_tokens=1, stream=True)
    assert (last.type, last.response.incomplete_details.reason) == ("response.incomplete", "max_output_tokens")
    assert fake.bodies[0]["max_completion_tokens"] == 1


def test_a_stream_that_fails_says_so_at_its_end(client, fake):
    fake.behave = fail_after_one_word
    *_, last = [checked(event) for event in client.responses.create(**HELLO, stream=True)]
    assert (last.type, last.response.error.message) == ("response.failed", "The engine failed.")


def test_the_conversation_reaches_the_engine_as_a_chat(client, fake):
    client.responses.create(
        model="fake-1",
        instructions="Be brief.",
        input=[
            {"role": "developer", "content": "Speak German."},
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {
                "type": "message",
                "role": "assistant",
                "id": "msg_1",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
            },
            {"type": "function_call", "call_id": "call_0", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_0", "output": "rain"},
        ],
        tools=[WEATHER],
        tool_choice="auto",
        temperature=0.5,
    )
    asked = fake.bodies[0]
    function = {"name": "weather", "arguments": "{}"}
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Speak German."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": "call_0", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_0", "content": "rain"},
    ]
    assert (asked["tools"][0]["function"]["name"], asked["temperature"]) == ("weather", 0.5)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_conversation_goes_on_from_what_was_kept(client, fake, stream):
    first = client.responses.create(**HELLO, instructions="Be brief.", stream=stream)
    first_id = list(first)[-1].response.id if stream else first.id
    client.responses.create(model="fake-1", input="And then?", previous_response_id=first_id)
    assert [message["content"] for message in fake.bodies[1]["messages"]] == ["Hello", STORY, "And then?"]


def test_calls_and_their_results_are_gone_on_from_as_well(client, fake):
    fake.behave = answering(call(0, name="weather", arguments="{}"), finish_reason="tool_calls")
    *_, last = client.responses.create(**HELLO, tools=[WEATHER], stream=True)
    fake.behave = fake_replica.answer
    output = [{"type": "function_call_output", "call_id": "call_0", "output": "rain"}]
    client.responses.create(model="fake-1", input=output, previous_response_id=last.response.id)
    assert [message["role"] for message in fake.bodies[1]["messages"]] == ["user", "assistant", "tool"]


def test_a_kept_response_can_be_read_again_until_it_is_deleted(client):
    answer = client.responses.create(**HELLO)
    assert client.responses.retrieve(answer.id) == answer
    client.responses.delete(answer.id)
    with pytest.raises(openai.NotFoundError) as refused:
        client.responses.retrieve(answer.id)
    assert refused.value.code == "response_not_found"


def test_what_shall_not_be_kept_is_not(client):
    answer = client.responses.create(**HELLO, store=False)
    assert not StoredResponse.objects.exists()
    with pytest.raises(openai.NotFoundError) as refused:
        client.responses.create(**HELLO, previous_response_id=answer.id)
    assert refused.value.param == "previous_response_id"


def test_nobody_sees_deletes_or_goes_on_with_anothers(client):
    answer = client.responses.create(**HELLO)
    stranger = client.with_options(api_key=issue_key(get_user_model().objects.create_user("eve"), "hers")[1])
    for act in (
        lambda: stranger.responses.retrieve(answer.id),
        lambda: stranger.responses.delete(answer.id),
        lambda: stranger.responses.cancel(answer.id),
        lambda: stranger.responses.create(**HELLO, previous_response_id=answer.id),
    ):
        with pytest.raises(openai.NotFoundError):
            act()
    assert StoredResponse.objects.count() == 1


def test_only_background_responses_could_be_cancelled(client):
    answer = client.responses.create(**HELLO)
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.cancel(answer.id)


def test_of_one_owner_only_the_newest_are_kept(client, settings):
    settings.RESPONSES_KEEP_NUM = 2
    ids = [client.responses.create(**HELLO).id for _ in range(3)]
    assert {stored.pk for stored in StoredResponse.objects.all()} == set(ids[1:])


def test_old_responses_are_pruned(client, settings):
    client.responses.create(**HELLO)
    kept = client.responses.create(**HELLO).id
    old = now() - timedelta(days=settings.RESPONSES_KEEP_DAYS, hours=1)
    StoredResponse.objects.exclude(pk=kept).update(created_at=old)
    assert prune_responses() == 1
    assert StoredResponse.objects.get().pk == kept


def test_a_conversation_that_became_too_long_is_refused(client, settings):
    answer = client.responses.create(**HELLO | {"input": "a" * 600})
    settings.MAX_BODY_BYTES = 1000
    with pytest.raises(openai.APIStatusError) as refused:
        client.responses.create(**HELLO | {"input": "a" * 600}, previous_response_id=answer.id)
    assert refused.value.code == "request_too_large"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"role": "robot", "content": "a"}]}, "input[0].role"),
        ({"input": [{"type": "item_reference", "id": "a"}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "a"}]}]},
            "input[0].content[0].type",
        ),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 5}, "max_tokens"),
    ],
    ids=lambda item: str(item)[:50],
)
def test_a_bad_value_is_refused_by_its_name(gateway, key, change, param):
    answer = post(gateway, key, "/responses", HELLO | change)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
