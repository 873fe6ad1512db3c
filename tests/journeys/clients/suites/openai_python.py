# /// script
# requires-python = ">=3.11"
# dependencies = ["openai==3.54.0", "pytest==9.1.1"]
# ///
"""The official package, with the strict validation that it does not do by itself."""

import asyncio

import openai
import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel
from suite import API_KEY, BASE_URL, EMBEDDING_MODEL, MODEL, run

HELLO = [{"role": "user", "content": "Hello!"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a place.",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
ASKED_FOR_WEATHER = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
    "tools": [WEATHER],
    "temperature": 0,
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def client():
    with openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0, _strict_response_validation=True) as client:
        yield client


def test_a_chat(client):
    answer: ChatCompletion = client.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream(client):
    options = {"include_usage": True}
    chunks: list[ChatCompletionChunk] = list(
        client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, stream_options=options)
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens > 0


def test_the_stream_helper(client):
    with client.chat.completions.stream(model=MODEL, messages=HELLO) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        assert stream.get_final_completion().choices[0].message.content == text != ""


async def asked_together(num: int) -> list[str]:
    async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0) as client:
        answers = [client.chat.completions.create(model=MODEL, messages=HELLO, temperature=0) for _ in range(num)]
        return [answer.choices[0].message.content for answer in await asyncio.gather(*answers)]


def test_many_at_a_time():
    answers = asyncio.run(asked_together(8))
    assert len(set(answers)) == 1


def test_structured_output(client):
    question = [{"role": "user", "content": "Ada is 36 years old. Who is she?"}]
    answer = client.chat.completions.parse(model=MODEL, messages=question, response_format=Person, temperature=0)
    assert isinstance(answer.choices[0].message.parsed, Person)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_forced_tool(client, choice):
    answer = client.chat.completions.parse(**ASKED_FOR_WEATHER, tool_choice=choice)
    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, list(call.function.parsed_arguments)) == ("get_weather", ["location"])


def test_a_tool_in_a_stream(client):
    with client.chat.completions.stream(**ASKED_FOR_WEATHER, tool_choice="required") as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls[0].function.name == "get_weather"


def test_embeddings(client):
    answer: CreateEmbeddingResponse = client.embeddings.create(
        model=EMBEDDING_MODEL, input=["one", "two"], encoding_format="float"
    )
    assert [item.index for item in answer.data] == [0, 1]


def test_responses(client):
    answer = client.responses.create(model=MODEL, input="Hello!")
    assert answer.output_text
    assert client.responses.retrieve(answer.id).id == answer.id


def test_responses_in_a_stream(client):
    with client.responses.stream(model=MODEL, input="Hello!") as stream:
        numbers = [event.sequence_number for event in stream]
        assert stream.get_final_response().output_text
    assert numbers == list(range(len(numbers)))


def test_an_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="gpt-nope", messages=HELLO)
    assert raised.value.code == "model_not_found"


def test_a_prompt_that_is_too_long(client):
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 20_000}])
    assert raised.value.code == "context_length_exceeded"


if __name__ == "__main__":
    raise SystemExit(run(__file__))
