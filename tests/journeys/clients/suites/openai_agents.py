# /// script
# requires-python = ">=3.11"
# dependencies = ["openai-agents==0.24.0", "pytest==9.1.1"]
# ///
"""openai-agents: agents over the Responses API and over chat completions."""

import asyncio

import openai
import pytest
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, set_tracing_disabled
from agents.tool import function_tool
from pydantic import BaseModel
from suite import API_KEY, BASE_URL, MODEL, run

set_tracing_disabled(True)


class Capital(BaseModel):
    city: str


@function_tool
def get_weather(location: str) -> str:
    """The weather in a place."""
    return f"It is sunny in {location}."


@pytest.fixture(params=[OpenAIChatCompletionsModel, OpenAIResponsesModel], ids=["chat completions", "responses"])
def model(request):
    client = openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
    return request.param(model=MODEL, openai_client=client)


def test_an_agent_answers(model):
    assert Runner.run_sync(Agent(name="a", model=model), "Hello!").final_output


def test_an_agent_streams(model):
    async def kinds() -> set[str]:
        result = Runner.run_streamed(Agent(name="a", model=model), "Hello!")
        return {event.type async for event in result.stream_events()}

    assert "raw_response_event" in asyncio.run(kinds())


def test_an_agent_calls_a_tool(model):
    agent = Agent(
        name="a", model=model, tools=[get_weather], model_settings=ModelSettings(tool_choice="required", temperature=0)
    )
    result = Runner.run_sync(agent, "What is the weather in Oslo?")
    assert any(item.type == "tool_call_output_item" for item in result.new_items)


def test_typed_output(model):
    agent = Agent(name="a", model=model, output_type=Capital, model_settings=ModelSettings(temperature=0))
    result = Runner.run_sync(agent, "What is the capital of France?")
    assert isinstance(result.final_output, Capital)


if __name__ == "__main__":
    raise SystemExit(run(__file__))
