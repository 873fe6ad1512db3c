"""Tool calls in a text: taken out while it streams, and given back when they are none."""

import json

from workers.engines.base import ToolCall
from workers.engines.transformers.tool_calls import Piece, ToolCallParser

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "罗马"}}\n</tool_call>'


def parse(text: str, size: int = 3) -> list[Piece]:
    """The pieces of a text that comes in deltas of `size` characters, neighbouring texts joined."""
    parser = ToolCallParser()
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
