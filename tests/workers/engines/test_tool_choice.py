"""Tools that must be called, over HTTP, by a model of random weights that would rather say anything else."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest

from tests.workers.engines.conftest import serve
from tests.workers.engines.test_structured_output import CLOSING
from workers.engines.base import EngineSpec
from workers.engines.transformers.engine import TransformersEngine


def tool(name: str, **more: Any) -> Any:
    number = {"type": "integer", "minimum": 0, "maximum": 99}
    parameters = {"type": "object", "properties": {"number": number}, "required": ["number"]}
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


ASKED: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "Hello"}],
    "tools": [tool("double"), tool("halve")],
    "logit_bias": {str(token): bias for token, bias in CLOSING.items()},
    "parallel_tool_calls": False,
}
HALVE: Any = {"type": "function", "function": {"name": "halve"}}


@pytest.fixture
async def llama(load_engine: Callable[..., TransformersEngine]) -> AsyncIterator[openai.AsyncOpenAI]:
    async with serve(load_engine("llama"), EngineSpec(engine="transformers", source="llama")) as client:
        yield client


async def test_a_required_call_comes_whole_and_streamed(llama: openai.AsyncOpenAI) -> None:
    plain = await llama.chat.completions.create(**ASKED, tool_choice="required", seed=1)
    async with llama.chat.completions.stream(**ASKED, tool_choice="required", seed=2) as stream:
        streamed = await stream.get_final_completion()

    for answer in (plain, streamed):
        choice = answer.choices[0]
        (call,) = choice.message.tool_calls or []
        assert (choice.finish_reason, choice.message.content or "") == ("tool_calls", "")
        assert call.function.name in ("double", "halve")
        assert 0 <= json.loads(call.function.arguments)["number"] <= 99


async def test_a_named_tool_is_called_and_the_answer_ends_as_openais_do(llama: openai.AsyncOpenAI) -> None:
    answer = await llama.chat.completions.create(**ASKED, tool_choice=HALVE, n=2, seed=3)

    for choice in answer.choices:
        assert [call.function.name for call in choice.message.tool_calls or []] == ["halve"]
        assert choice.finish_reason == "stop"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "nothing"}}}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.type"),
        ({"tools": [tool("f", strict=True, parameters={"not": {}})]}, "tools"),
        ({"tools": [tool("f", strict=True, parameters={"enum": ["a" * 200_000]})]}, "tools[0].function.parameters"),
    ],
)
async def test_what_cannot_be_called_is_refused_by_its_name(
    llama: openai.AsyncOpenAI, wrong: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await llama.chat.completions.create(**{**ASKED, **wrong})
    assert refused.value.param == param


async def test_strict_tools_are_refused_where_nothing_can_be_enforced(echo_client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await echo_client.chat.completions.create(
            model="m", messages=ASKED["messages"], tools=[tool("f"), tool("g", strict=True)]
        )
    assert refused.value.param == "tools[1].function.strict"


async def test_functions_are_called_in_the_words_of_their_time(llama: openai.AsyncOpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "m", "messages": ASKED["messages"], "logit_bias": ASKED["logit_bias"], "seed": 4,
        "functions": [tool("double")["function"]], "function_call": {"name": "double"},
    }  # fmt: skip
    answer = (await llama.chat.completions.create(**asked)).choices[0]
    assert answer.message.function_call is not None
    assert (answer.message.function_call.name, answer.message.tool_calls, answer.finish_reason) == (
        "double", None, "stop"
    )  # fmt: skip

    call = answer.message.model_dump(include={"role", "content", "function_call"})
    result = {"role": "function", "name": "double", "content": "4"}
    again = {**asked, "messages": [*asked["messages"], call, result], "function_call": "none", "max_tokens": 3}
    assert (await llama.chat.completions.create(**again)).choices[0].message.function_call is None
