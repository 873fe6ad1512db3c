"""Anthropic's API answers OpenAI's clients: chats, tools and usage, and what it cannot do is refused by name."""

import base64

import openai
import pytest

from fleet.models import ProviderModel
from gateway.models import CountSource, UsageState
from tests.gateway.conftest import HELLO, add_replica, post, the_record
from tests.gateway.providers.anthropic_server import MODEL, WORDS, AnthropicServer, error
from tests.pictures import inline, picture

STORY = "".join(WORDS)
ASKED = {"model": "story", "messages": HELLO}
STREAM = ASKED | {"stream": True}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Now.", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "clock"}},
]


@pytest.fixture
def server(offer):
    server = AnthropicServer()
    offer(server.url, kind="anthropic", upstream_name=MODEL, max_output_tokens=777)
    yield server
    server.close()


def test_a_chat_is_answered(client, server):
    answer = client.chat.completions.create(**ASKED)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason, answer.model) == (STORY, "stop", "story")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 4)
    assert answer.usage.prompt_tokens_details.cached_tokens == 3


def test_a_model_that_sees_gets_images_in_its_own_words_in_their_places(gateway, client, server):
    ProviderModel.objects.update(capabilities=["chat", "vision"])
    gateway.refresh()
    image = {"type": "image_url", "image_url": {"url": inline(picture())}}
    texts = [{"type": "text", "text": "This?"}, {"type": "text", "text": "What is it?"}]
    client.chat.completions.create(model="story", messages=[{"role": "user", "content": [texts[0], image, texts[1]]}])
    data = base64.b64encode(picture()).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    assert server.bodies[0]["messages"][0]["content"] == [texts[0], {"type": "image", "source": source}, texts[1]]


def test_a_chat_is_streamed(client, server):
    *chunks, last = client.chat.completions.create(**STREAM, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == STORY
    assert (chunks[0].choices[0].delta.role, chunks[-1].choices[0].finish_reason) == ("assistant", "stop")
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens) == (10, 4, 14)


def test_what_was_used_is_on_record(client, server):
    list(client.chat.completions.create(**STREAM))
    record = the_record()
    assert (record.state, record.count_source) == (UsageState.COMPLETE, CountSource.ENGINE)
    assert (record.prompt_tokens, record.completion_tokens) == (10, 4)


def test_an_answer_without_a_limit_has_the_models_own(client, server):
    client.chat.completions.create(**ASKED)
    client.chat.completions.create(**ASKED, max_completion_tokens=5)
    assert [body["max_tokens"] for body in server.bodies] == [777, 5]


def test_system_messages_go_before_all_and_neighbours_become_one(client, server):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One."},
        {"role": "user", "content": [{"type": "text", "text": "Two."}]},
        {"role": "assistant", "content": ""},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "Three."},
    ]
    client.chat.completions.create(model="story", messages=messages, stop="END", temperature=0.5, top_p=0.9, user="u")
    (body,) = server.bodies
    assert body["system"] == "Be brief.\n\nBe kind."
    assert [block["text"] for block in body["messages"][0]["content"]] == ["One.", "Two.", "Three."]
    assert (body["stop_sequences"], body["metadata"]) == (["END"], {"user_id": "u"})


def test_tools_are_called_and_their_results_sent_back(client, server):
    asked = client.chat.completions.create(**ASKED, tools=TOOLS, tool_choice="auto").choices[0]
    weather, clock = asked.message.tool_calls
    assert (weather.function.name, weather.function.arguments) == ("weather", '{"city":"Köln"}')
    assert (clock.function.arguments, asked.finish_reason) == ("{}", "tool_calls")
    results = [{"role": "tool", "tool_call_id": call.id, "content": "3"} for call in (weather, clock)]
    history = [*HELLO, asked.message.to_dict(), *results]
    assert client.chat.completions.create(model="story", messages=history, tools=TOOLS).choices[0].message.content


@pytest.mark.parametrize(
    ("asked", "worded"),
    [
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": {"type": "function", "function": {"name": "clock"}}}, {"type": "tool", "name": "clock"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
    ],
)
def test_how_tools_may_be_called_is_said_in_its_words(gateway, client, server, asked, worded):
    ProviderModel.objects.update(capabilities=["chat", "tools", "tool_choice"])
    gateway.refresh()
    assert client.chat.completions.create(**ASKED, tools=TOOLS, **asked).choices[0].message.tool_calls
    assert server.bodies[-1]["tool_choice"] == worded


def test_tools_are_called_in_a_stream(client, server):
    calls: dict[int, list[str]] = {}
    for chunk in client.chat.completions.create(**STREAM, tools=TOOLS):
        for call in chunk.choices[0].delta.tool_calls or ():
            calls.setdefault(call.index, []).append(call.function.name or call.function.arguments)
    assert {index: (name, "".join(rest)) for index, (name, *rest) in calls.items()} == {
        0: ("weather", '{"city": "Köln"}'),
        1: ("clock", "{}"),
    }
    assert chunk.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(("name", "value"), [("seed", 1), ("temperature", 1.5), ("continue_final_message", True)])
def test_what_it_cannot_do_is_refused_by_name(gateway, key, server, name, value):
    messages = [*HELLO, {"role": "assistant", "content": "Once"}]
    refused = post(gateway, key, "/chat/completions", ASKED | {"messages": messages, name: value})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
    assert server.bodies == []


def test_what_it_cannot_do_is_asked_of_a_replica_that_can(gateway, key, server, fake):
    add_replica(fake.url, model="story")
    gateway.refresh()
    answers = [post(gateway, key, "/chat/completions", ASKED | {"seed": 1}).status_code for _ in range(4)]
    assert answers == [200] * 4


def test_only_chats_are_asked_of_it(gateway, key, server):
    refused = post(gateway, key, "/completions", {"model": "story", "prompt": "Once"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")


def test_its_own_words_about_the_request_are_passed_on(client, server):
    server.fault = lambda: error(400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum")
    with pytest.raises(openai.BadRequestError, match="prompt is too long") as refused:
        client.chat.completions.create(**ASKED)
    assert refused.value.code == "context_length_exceeded"


@pytest.mark.parametrize(("status", "seen"), [(401, 502), (403, 502), (429, 429), (500, 502), (529, 503)])
def test_its_other_refusals_are_told_as_what_they_are_to_the_caller(gateway, key, server, status, seen):
    server.fault = lambda: error(status, "some_error", "No.")
    assert post(gateway, key, "/chat/completions", STREAM).status_code == seen


def test_an_error_before_the_first_word_is_told_in_the_stream(gateway, key, server):
    server.overload_after = 0
    text = post(gateway, key, "/chat/completions", STREAM).text
    assert '"code":"overloaded_error"' in text
    assert text.endswith("data: [DONE]\n\n")


def test_an_error_in_the_middle_is_raised_by_the_client(client, server):
    server.overload_after = 2
    with pytest.raises(openai.APIError, match="Overloaded"):
        list(client.chat.completions.create(**STREAM))
    assert the_record().state == UsageState.CUT_BY_UPSTREAM


def test_hanging_up_closes_the_connection_to_it(client, server):
    server.lingers = True
    stream = client.chat.completions.create(**STREAM)
    next(chunk for chunk in stream if chunk.choices[0].delta.content)
    stream.close()
    assert server.left.wait(30)
    assert the_record().count_source == CountSource.ESTIMATED
