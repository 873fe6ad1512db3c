"""The messages and tools of a chat request, checked one by one."""

from typing import Any, Literal

import msgspec

from workers.engines.openai.parameters import ANYTHING, Neutral, read_parameters
from workers.errors import BadRequest

# What OpenAI's own answers carry when they are sent back as history.
_NEUTRAL_IN_MESSAGE: Neutral = {"refusal": ("",), "annotations": ([],), "audio": (), "function_call": ()}
_NEUTRAL_IN_TEXT_PART: Neutral = {"annotations": ([],), "cache_control": ANYTHING}


class FunctionCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call that the model made earlier. `arguments` is JSON text."""

    name: str
    arguments: str


class PastToolCall(msgspec.Struct, kw_only=True):
    """One entry of an assistant message's `tool_calls`."""

    id: str
    type: Literal["function"]
    function: FunctionCall


class Message(msgspec.Struct, kw_only=True):
    """One message; what is allowed together depends on the role."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[PastToolCall] | None = None
    tool_call_id: str | None = None


class Function(msgspec.Struct, forbid_unknown_fields=True):
    """What the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of `tools`."""

    type: Literal["function"]
    function: Function


class _TextPart(msgspec.Struct):
    type: str
    text: str


def read_messages(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages as the engines take them: content joined to one string, `developer` as `system`. Raises BadRequest."""
    if not given:
        raise BadRequest("'messages' must hold at least one message.", param="messages")
    return [_read_message(message, f"messages[{position}]") for position, message in enumerate(given)]


def read_tools(given: list[Tool]) -> list[dict[str, Any]] | None:
    """Tools as templates take them. Raises BadRequest for `strict`, which needs constrained decoding."""
    for position, tool in enumerate(given):
        if tool.function.strict:
            param = f"tools[{position}].function.strict"
            raise BadRequest(
                f"Unsupported parameter: '{param}' cannot be true with this model. Leave it out.",
                param=param,
                code="unsupported_parameter",
            )
    return [_plain(tool) for tool in given] or None


def _read_message(given: dict[str, Any], where: str) -> dict[str, Any]:
    message = read_parameters(Message, given, _NEUTRAL_IN_MESSAGE, where=where)
    _check_role(message, where)
    content = message.content if not isinstance(message.content, list) else _join_parts(message.content, where)
    role = "system" if message.role == "developer" else message.role
    return {**_plain(message), "role": role, "content": content}


def _check_role(message: Message, where: str) -> None:
    if message.content is None and not (message.role == "assistant" and message.tool_calls):
        raise BadRequest(f"Missing required parameter: '{where}.content'.", param=f"{where}.content")
    if message.tool_calls is not None and message.role != "assistant":
        raise BadRequest("Only assistant messages have 'tool_calls'.", param=f"{where}.tool_calls")
    if (message.tool_call_id is None) == (message.role == "tool"):
        raise BadRequest("Tool messages, and no others, have a 'tool_call_id'.", param=f"{where}.tool_call_id")


def _join_parts(parts: list[dict[str, Any]], where: str) -> str:
    return "".join(_read_part(part, f"{where}.content[{position}]") for position, part in enumerate(parts))


def _read_part(part: dict[str, Any], where: str) -> str:
    kind = part.get("type")
    if kind != "text" and isinstance(kind, str):
        raise BadRequest(
            f"Unsupported value: content of type '{kind[:40]}' is not supported with this model. Send text.",
            param=f"{where}.type",
            code="unsupported_value",
        )
    return read_parameters(_TextPart, part, _NEUTRAL_IN_TEXT_PART, where=where).text


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    """As dictionaries, without what was not given: templates ask `is defined`."""
    return {name: item for name, item in msgspec.to_builtins(value).items() if item is not None}
