"""The messages and tools of a chat request, as types and rules."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.errors import InvalidRequest
from gateway.openai.parameters import BEGINNING_LENGTH, Name, Neutral, check_neutral, unsupported


class TextPart(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A piece of content. Images, audio and files are not supported yet."""

    type: Literal["text"]
    text: str
    annotations: list[Any] | None = None
    cache_control: dict[str, Any] | None = None


class FunctionCall(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A call that the model made earlier; its arguments are JSON text."""

    name: Name
    arguments: str


class PastToolCall(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One entry of an assistant message's `tool_calls`."""

    id: Name
    type: Literal["function"]
    function: FunctionCall
    index: int | None = None


class Message(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One message. The last four are what answers carry when they are sent back as history."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[TextPart], Meta(min_length=1)] | None = None
    name: str | None = None
    tool_calls: list[PastToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    audio: dict[str, Any] | None = None
    function_call: dict[str, Any] | None = None


class Function(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the model may call; `parameters` is a JSON schema."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One entry of `tools`."""

    type: Literal["function"]
    function: Function


_NEUTRAL: Neutral = {"refusal": ("",), "annotations": ([],), "audio": (), "function_call": ()}


def check_messages(messages: list[Message]) -> None:
    """Raises InvalidRequest for what a role must have and has not, or the other way round."""
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        _check_neutral(message, where)
        if message.content is None and not (message.role == "assistant" and message.tool_calls):
            raise _wrong(f"{where}.content", f"a message of the role '{message.role}' must have content")
        if message.tool_calls is not None and message.role != "assistant":
            raise _wrong(f"{where}.tool_calls", "only assistant messages have tool calls")
        if (message.tool_call_id is not None) != (message.role == "tool"):
            raise _wrong(f"{where}.tool_call_id", "tool messages, and no others, say which call they answer")


def beginning_of(messages: list[Message]) -> str:
    """The messages up to the first of the user's, each cut where it is long: later turns of the chat begin alike."""
    texts = []
    for message in messages:
        texts.append(_text(message)[:BEGINNING_LENGTH])
        if message.role == "user":
            break
    return "\0".join(texts)


def check_tools(tools: list[Tool]) -> None:
    """Raises InvalidRequest for `strict`, which needs constrained decoding."""
    for position, tool in enumerate(tools):
        if tool.function.strict:
            raise unsupported(f"tools[{position}].function.strict", (False,))


def _text(message: Message) -> str:
    content = message.content or ""
    return content if isinstance(content, str) else "".join(part.text for part in content)


def _check_neutral(message: Message, where: str) -> None:
    try:
        check_neutral(message, _NEUTRAL)
    except InvalidRequest as error:
        raise unsupported(f"{where}.{error.param}", _NEUTRAL[str(error.param)]) from None


def _wrong(param: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for '{param}': {reason}.", param=param, code="invalid_value")
