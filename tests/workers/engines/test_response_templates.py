"""A model whose authors say how to read its answers: they are read so, while they stream."""

import json
from typing import Any

import pytest

from workers.engines.base import ToolCall
from workers.engines.transformers.readers import TemplateReader
from workers.engines.transformers.thoughts import Thought

TEMPLATE: dict[str, Any] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|turn>model\n",
    "fields": {
        "thinking": {"open": "<|channel>thought\n", "close": "<channel|>", "content": "text"},
        "tool_calls": {
            "open_pattern": r"<\|tool_call>call:(?P<name>\w+)",
            "close": "<tool_call|>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}},
        },
        "content": {"close": "<turn|>", "content": "text"},
    },
}
"""Like Gemma's."""
PROMPT = "<|turn>user\nHow warm?<turn|><|turn>model\n"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALL = '<|tool_call>call:weather{"city": "Rome"}<tool_call|>'


def read(text: str, size: int, prompt: str = PROMPT, **more: Any) -> tuple[str, str, list[ToolCall]]:
    """Thought, text and calls of an answer that comes in deltas of `size` characters."""
    reader = TemplateReader(TEMPLATE, prompt, **{"tools": TOOLS, **more})
    pieces = [piece for at in range(0, len(text), size) for piece in reader.push(text[at : at + size])]
    pieces += reader.flush()
    calls = [piece for piece in pieces if isinstance(piece, ToolCall)]
    assert reader.num_calls == len(calls)
    thought = "".join(piece.text for piece in pieces if isinstance(piece, Thought))
    return thought, "".join(piece for piece in pieces if isinstance(piece, str)), calls


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_thought_text_and_calls_are_told_apart(size: int) -> None:
    thought, said, calls = read(f"<|channel>thought\nHm.<channel|>\nLet me see.{CALL}{CALL}", size)

    assert (thought, said) == ("Hm.", "Let me see.")
    assert [(call.index, call.name, json.loads(call.arguments)) for call in calls] == [
        (0, "weather", {"city": "Rome"}), (1, "weather", {"city": "Rome"})
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_the_prompt_may_have_opened_the_thought(size: int) -> None:
    thought, said, _ = read("Hm.<channel|>Yes.", size, prompt=PROMPT + "<|channel>thought\n")

    assert (thought, said) == ("Hm.", "Yes.")


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_call_that_is_none_comes_back_as_text_and_so_does_what_follows(size: int) -> None:
    _, said, calls = read('Look:<|tool_call>call:weather{"city"<tool_call|> Or not.', size)

    assert calls == []
    assert said.startswith("Look:") or size == 1000
    assert '{"city"' in said
    assert said.endswith(" Or not.")


def test_without_tools_a_call_is_text() -> None:
    assert read(CALL, 5, tools=None) == ("", CALL, [])


def test_calls_beyond_those_allowed_are_dropped() -> None:
    assert len(read(CALL + CALL, 5, max_calls=1)[2]) == 1
