# /// script
# requires-python = ">=3.11"
# dependencies = ["pydantic-ai-slim[openai]==2.68.0", "pytest==9.1.1"]
# ///
"""pydantic-ai: an agent with tools and typed output."""

import asyncio

from pydantic import BaseModel
from pydantic_ai import Agent, ModelSettings, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from suite import API_KEY, BASE_URL, MODEL, run


class Capital(BaseModel):
    city: str


def chat_model() -> OpenAIChatModel:
    provider = OpenAIProvider(base_url=BASE_URL, api_key=API_KEY)
    return OpenAIChatModel(MODEL, provider=provider, settings=ModelSettings(temperature=0))


def test_an_agent_answers():
    assert Agent(chat_model()).run_sync("Hello!").output


def test_an_agent_streams():
    async def said() -> str:
        async with Agent(chat_model()).run_stream("Hello!") as result:
            return "".join([part async for part in result.stream_text(delta=True)])

    assert asyncio.run(said())


def test_typed_output_by_a_tool():
    answer = Agent(chat_model(), output_type=Capital).run_sync("What is the capital of France?")
    assert isinstance(answer.output, Capital)


def test_typed_output_by_a_schema():
    answer = Agent(chat_model(), output_type=NativeOutput(Capital)).run_sync("What is the capital of France?")
    assert isinstance(answer.output, Capital)


if __name__ == "__main__":
    raise SystemExit(run(__file__))
