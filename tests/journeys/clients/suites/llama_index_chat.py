# /// script
# requires-python = ">=3.11"
# dependencies = ["llama-index-llms-openai-like==0.8.1", "llama-index-core==0.14.25", "pytest==9.1.1"]
# ///
"""LlamaIndex through its adapter for servers that speak OpenAI's dialect."""

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.program.function_program import get_function_tool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel
from suite import API_KEY, BASE_URL, MODEL, run

HELLO = [ChatMessage(role="user", content="Hello!")]
WEATHER_QUESTION = "What is the weather in Paris?"


class Weather(BaseModel):
    """The weather in a place."""

    location: str


def model(**options) -> OpenAILike:
    known = {"is_chat_model": True, "is_function_calling_model": True, "context_window": 1024}
    return OpenAILike(
        model=MODEL, api_base=BASE_URL, api_key=API_KEY, max_retries=0, temperature=0.0, **{**known, **options}
    )


def test_a_chat():
    assert model().chat(HELLO).message.content


def test_a_stream():
    *_, last = model().stream_chat(HELLO)
    assert last.message.content


def test_a_completion():
    assert model(is_chat_model=False).complete("Hello").text


def test_a_forced_tool():
    llm, tool = model(), get_function_tool(Weather)
    answer = llm.chat_with_tools([tool], user_msg=WEATHER_QUESTION, tool_required=True)
    assert [call.tool_name for call in llm.get_tool_calls_from_response(answer)] == ["Weather"]


def test_structured_output():
    answer = (
        model(should_use_structured_outputs=True)
        .as_structured_llm(Weather)
        .chat([ChatMessage(role="user", content=WEATHER_QUESTION)])
    )
    assert isinstance(answer.raw, Weather)


if __name__ == "__main__":
    raise SystemExit(run(__file__))
