# /// script
# requires-python = ">=3.11"
# dependencies = ["litellm==1.106.2", "pytest==9.1.1"]
# ///
"""LiteLLM's SDK, with its own errors, by which routers choose what to try next."""

import asyncio

import litellm
import pytest
from suite import API_KEY, BASE_URL, EMBEDDING_MODEL, MODEL, run

HELLO = [{"role": "user", "content": "Hello!"}]
SERVER = {"model": f"openai/{MODEL}", "api_base": BASE_URL, "api_key": API_KEY, "max_retries": 0}


def test_a_chat():
    answer = litellm.completion(messages=HELLO, **SERVER)
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens > 0


def test_a_stream():
    chunks = list(litellm.completion(messages=HELLO, stream=True, stream_options={"include_usage": True}, **SERVER))
    whole = litellm.stream_chunk_builder(chunks, messages=HELLO)
    assert whole.choices[0].message.content
    assert whole.usage.prompt_tokens > 0


def test_without_a_thread():
    assert asyncio.run(litellm.acompletion(messages=HELLO, **SERVER)).choices[0].finish_reason == "stop"


def test_embeddings():
    answer = litellm.embedding(input=["one", "two"], **{**SERVER, "model": f"openai/{EMBEDDING_MODEL}"})
    assert len(answer.data) == 2


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"api_key": "sk-flt-nonsense"}, litellm.AuthenticationError),
        ({"model": "openai/gpt-nope"}, litellm.NotFoundError),
        ({"messages": [{"role": "user", "content": "word " * 20_000}]}, litellm.ContextWindowExceededError),
        ({"temperature": 5}, litellm.BadRequestError),
    ],
)
def test_errors_become_its_own(change, error):
    with pytest.raises(error):
        litellm.completion(**{"messages": HELLO, **SERVER, **change})


if __name__ == "__main__":
    raise SystemExit(run(__file__))
