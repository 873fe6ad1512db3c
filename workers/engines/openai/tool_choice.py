"""`tool_choice`, `parallel_tool_calls` and strict tools: how the tools may be called."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from workers.engines.base import ToolUse
from workers.engines.openai.messages import Tool
from workers.engines.openai.structured import check_size
from workers.errors import BadRequest


class Name(msgspec.Struct, forbid_unknown_fields=True):
    """Of a function."""

    name: str


class NamedTool(msgspec.Struct, forbid_unknown_fields=True):
    """The one that must be called."""

    type: Literal["function"]
    function: Name


ToolChoice = Literal["auto", "none", "required"] | NamedTool
FunctionChoice = Literal["auto", "none"] | Name


def read_tool_use(tools: Sequence[Tool], choice: ToolChoice, *, is_parallel: bool) -> ToolUse:
    """Raises BadRequest for tools that are not there, or whose parameters nobody can keep to."""
    use = ToolUse(must_call=_must_call(tools, choice), strict=_strict(tools), is_parallel=is_parallel)
    for position, tool in enumerate(tools):
        if use.must_call or use.strict:
            check_size(tool.function.parameters, f"tools[{position}].function.parameters")
    return use


def first_strict(tools: Sequence[Tool]) -> str | None:
    """The parameter that asks for the first strict tool; None where there is none."""
    strict = (position for position, tool in enumerate(tools) if tool.function.strict)
    return next((f"tools[{position}].function.strict" for position in strict), None)


def _strict(tools: Sequence[Tool]) -> tuple[str, ...]:
    return tuple(tool.function.name for tool in tools if tool.function.strict)


def _must_call(tools: Sequence[Tool], choice: ToolChoice) -> tuple[str, ...]:
    names = tuple(tool.function.name for tool in tools)
    if isinstance(choice, NamedTool):
        names = tuple(name for name in names if name == choice.function.name)[:1]
    elif choice != "required":
        return ()
    if not names:
        raise BadRequest("'tool_choice' asks for a tool that is not among 'tools'.", param="tool_choice")
    return names
