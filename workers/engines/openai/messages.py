"""The messages and tools of a chat request, checked one by one."""

from typing import Any, Literal

import msgspec

from protocol.images import BadImage, bytes_in, image_file
from protocol.parameters import VISION
from workers.engines.openai.parameters import ANYTHING, Neutral, read_parameters
from workers.errors import BadRequest

_LEGACY_ID = "call_function"
# What OpenAI's own answers carry when they are sent back as history.
_NEUTRAL_IN_MESSAGE: Neutral = {"refusal": ("",), "annotations": ([],), "audio": ()}
_NEUTRAL_IN_PART: Neutral = {"annotations": ([],), "cache_control": ANYTHING}


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

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[PastToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    """What the model thought then; its template says whether it is shown again."""
    function_call: FunctionCall | None = None
    """A tool call, as one said before there were tools; messages of the role "function" hold its result."""


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


class _ImageURL(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    detail: Literal["auto", "low", "high"] = "auto"
    """Without effect: a model looks at all images alike."""


class _ImagePart(msgspec.Struct):
    type: str
    image_url: _ImageURL


def read_messages(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages as the engines take them: content joined to one string where it is text, `developer` as `system`.

    Raises BadRequest.
    """
    if not given:
        raise BadRequest("'messages' must hold at least one message.", param="messages")
    return [_read_message(message, f"messages[{position}]") for position, message in enumerate(given)]


def image_needs(given: list[dict[str, Any]]) -> dict[str, str]:
    """What an engine must be able to do for these messages, with the parameter that asks for it."""
    for position, message in enumerate(given):
        content = message.get("content")
        for at, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict) and part.get("type") == "image_url":
                return {VISION: f"messages[{position}].content[{at}].image_url"}
    return {}


def read_tools(given: list[Tool]) -> list[dict[str, Any]] | None:
    """Tools as templates take them: `strict` is not for the model to read."""
    return [_plain_tool(tool) for tool in given] or None


def _read_message(given: dict[str, Any], where: str) -> dict[str, Any]:
    message = _modern(read_parameters(Message, given, _NEUTRAL_IN_MESSAGE, where=where))
    _check_role(message, where)
    content = message.content if not isinstance(message.content, list) else _read_parts(message.content, where)
    if isinstance(content, list) and message.role != "user":
        raise BadRequest("Only user messages hold images.", param=f"{where}.content")
    role = "system" if message.role == "developer" else message.role
    return {**_plain(message), "role": role, "content": content}


def _modern(message: Message) -> Message:
    """With tools in the place of functions. Their calls had no ids, since there was one at a time."""
    if message.function_call is not None and message.tool_calls is None:
        call = PastToolCall(id=_LEGACY_ID, type="function", function=message.function_call)
        return msgspec.structs.replace(message, tool_calls=[call], function_call=None)
    if message.role == "function":
        return msgspec.structs.replace(message, role="tool", tool_call_id=_LEGACY_ID)
    return message


def _check_role(message: Message, where: str) -> None:
    if message.content is None and not (message.role == "assistant" and message.tool_calls):
        raise BadRequest(f"Missing required parameter: '{where}.content'.", param=f"{where}.content")
    if message.tool_calls is not None and message.role != "assistant":
        raise BadRequest("Only assistant messages have 'tool_calls'.", param=f"{where}.tool_calls")
    if message.reasoning_content is not None and message.role != "assistant":
        raise BadRequest("Only assistant messages have 'reasoning_content'.", param=f"{where}.reasoning_content")
    if (message.tool_call_id is None) == (message.role == "tool"):
        raise BadRequest("Tool messages, and no others, have a 'tool_call_id'.", param=f"{where}.tool_call_id")


def _read_parts(parts: list[dict[str, Any]], where: str) -> str | list[dict[str, Any]]:
    """One string where all is text, else the parts; see base.Generate."""
    read = [_read_part(part, f"{where}.content[{position}]") for position, part in enumerate(parts)]
    return read if any(part["type"] == "image" for part in read) else "".join(part["text"] for part in read)


def _read_part(part: dict[str, Any], where: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "image_url":
        image = read_parameters(_ImagePart, part, _NEUTRAL_IN_PART, where=where).image_url
        return {"type": "image", "image": _image_bytes(image.url, f"{where}.image_url.url")}
    if kind != "text" and isinstance(kind, str):
        raise BadRequest(
            f"Unsupported value: content of type '{kind[:40]}' is not supported with this model. Send text.",
            param=f"{where}.type",
            code="unsupported_value",
        )
    return {"type": "text", "text": read_parameters(_TextPart, part, _NEUTRAL_IN_PART, where=where).text}


def _image_bytes(url: str, where: str) -> bytes:
    """Of a data URI: an engine fetches nothing."""
    try:
        data = bytes_in(url)
        image_file(data)
    except BadImage as error:
        raise BadRequest(f"Invalid value for '{where}': {error}.", param=where, code="invalid_image") from error
    return data


def _plain_tool(tool: Tool) -> dict[str, Any]:
    return {"type": tool.type, "function": _plain(msgspec.structs.replace(tool.function, strict=None))}


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    """As dictionaries, without what was not given: templates ask `is defined`."""
    return {name: item for name, item in msgspec.to_builtins(value).items() if item is not None}
