"""Tool calls in a text: taken out while it streams, and given back when they are none."""

import json

import pytest

from workers.engines.base import ToolCall
from workers.engines.transformers.call_formats import (
    DEEPSEEK,
    DEEPSEEK_FENCED,
    HERMES,
    LLAMA,
    MISTRAL,
    MISTRAL_LIST,
    CallFormat,
    call_format,
)
from workers.engines.transformers.tool_calls import ToolCallParser

Piece = str | ToolCall

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "罗马"}}\n</tool_call>'


def parse(text: str, size: int = 3, form: CallFormat = HERMES, max_calls: int | None = None) -> list[Piece]:
    """The pieces of a text that comes in deltas of `size` characters, neighbouring texts joined."""
    parser = ToolCallParser(form, max_calls)
    pieces = [piece for at in range(0, len(text), size) for piece in parser.push(text[at : at + size])]
    joined: list[Piece] = []
    for piece in pieces + parser.flush():
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def test_a_call_is_no_text() -> None:
    (call,) = parse(CALL)

    assert isinstance(call, ToolCall)
    assert (call.index, call.name, json.loads(call.arguments)) == (0, "get_weather", {"city": "罗马"})
    assert call.id.startswith("call_")


def test_text_before_a_call_stays_and_the_space_between_goes() -> None:
    text, call = parse(f"Let me look.\n\n{CALL}\n")

    assert text == "Let me look."
    assert isinstance(call, ToolCall)


def test_calls_are_numbered() -> None:
    calls = parse(f"{CALL}\n{CALL}")

    assert [call.index for call in calls if isinstance(call, ToolCall)] == [0, 1]


def test_broken_json_comes_back_as_text() -> None:
    text = 'Look: <tool_call>{"name": get}</tool_call> or not'

    assert parse(text) == [text]


def test_a_call_without_its_end_counts_when_it_is_whole() -> None:
    (call,) = parse(CALL.removesuffix("</tool_call>"))

    assert isinstance(call, ToolCall)


def test_a_call_cut_in_the_middle_comes_back_as_text() -> None:
    assert parse(CALL[:40]) == [CALL[:40]]


def test_text_with_angle_brackets_and_spaces_is_not_changed() -> None:
    text = "  a < b, <tool>, <tool_cal \n\n x  "

    assert parse(text, size=1) == [text]


def test_calls_beyond_those_allowed_are_dropped() -> None:
    assert len(parse(f"{CALL}\n{CALL}", max_calls=1)) == 1


def fenced(*cities: str) -> str:
    calls = [
        f'<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{{"city": "{city}"}}\n```<｜tool▁call▁end｜>'
        for city in cities
    ]
    return "<｜tool▁calls▁begin｜>" + "\n".join(calls) + "<｜tool▁calls▁end｜>"


WRITTEN = {
    "llama": (LLAMA, '{"name": "get_weather", "parameters": {"city": "Rome"}}; '
                     '{"name": "get_weather", "parameters": {"city": "罗马"}}'),
    "llama with its tag": (LLAMA, '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Rome"}};'
                                  '{"type": "function", "name": "get_weather", "parameters": {"city": "罗马"}}'),
    "mistral": (MISTRAL, '[TOOL_CALLS]get_weather[ARGS]{"city": "Rome"}'
                         '[TOOL_CALLS]get_weather[CALL_ID]a1[ARGS]{"city": "罗马"}'),
    "mistral's list": (MISTRAL_LIST, '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Rome"}}, '
                                     '{"name": "get_weather", "arguments": {"city": "罗马"}}]'),
    "deepseek v3": (DEEPSEEK_FENCED, fenced("Rome", "罗马")),
    "deepseek v3.1": (DEEPSEEK, '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Rome"}'
                                '<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "罗马"}'
                                '<｜tool▁call▁end｜><｜tool▁calls▁end｜>'),
}  # fmt: skip


@pytest.mark.parametrize(("form", "text"), WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_each_familys_calls_are_read_however_they_are_cut(form: CallFormat, text: str, size: int) -> None:
    calls = [piece for piece in parse(text, size, form) if isinstance(piece, ToolCall)]
    assert len(calls) == len(parse(text, size, form)) == 2
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("get_weather", {"city": "Rome"}), ("get_weather", {"city": "罗马"})
    ]  # fmt: skip


@pytest.mark.parametrize(("form", "text"), WRITTEN.values(), ids=WRITTEN)
def test_what_is_broken_comes_back_as_it_was(form: CallFormat, text: str) -> None:
    broken = text.replace('"city"', "city")
    assert parse(broken, form=form) == [broken]


def test_where_calls_begin_an_answer_json_in_its_middle_is_text() -> None:
    text = 'Like this: {"name": "get_weather", "parameters": {}}'
    assert parse(text, form=LLAMA) == [text]


@pytest.mark.parametrize(
    ("template", "form"),
    [
        ("{{ '<tool_call>' }}", HERMES),
        ("{{ '<|python_tag|>' }}", LLAMA),
        ("""{{ '{"name": "' + call.name + '", "parameters": ' }}""", LLAMA),
        ("{{ '[TOOL_CALLS][' }}", MISTRAL_LIST),
        ("{{ '[TOOL_CALLS]' + name + '[ARGS]' }}", MISTRAL),
        ("{{ '<｜tool▁call▁begin｜>function<｜tool▁sep｜>' + name + '```json' }}", DEEPSEEK_FENCED),
        ("{{ '<｜tool▁call▁begin｜>' + name + '<｜tool▁sep｜>' }}", DEEPSEEK),
        ("{{ messages }}", HERMES),
    ],
)
def test_a_models_template_tells_its_family(template: str, form: CallFormat) -> None:
    assert call_format(template) == form
