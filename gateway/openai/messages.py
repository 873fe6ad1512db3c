"""The messages and tools of a chat request, as types and rules."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.errors import InvalidRequest
from gateway.openai.parameters import (
    BEGINNING_LENGTH,
    ImageURL,
    Name,
    Neutral,
    PlacedImage,
    check_neutral,
    unsupported,
)


class TextPart(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="text"):
    """A piece of text."""

    text: str
    annotations: list[Any] | None = None
    cache_control: dict[str, Any] | None = None


class ImagePart(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="image_url"):
    """A picture, for models that see."""

    image_url: ImageURL
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
    """One message. The last five are what answers carry when they are sent back as history."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[TextPart | ImagePart], Meta(min_length=1)] | None = None
    name: str | None = None
    tool_calls: list[PastToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    audio: dict[str, Any] | None = None
    function_call: FunctionCall | None = None
    reasoning_content: str | None = None


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


class FunctionName(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Of the one that must be called."""

    name: Name


class NamedTool(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The one that must be called."""

    type: Literal["function"]
    function: FunctionName


ToolChoice = Literal["auto", "none", "required"] | NamedTool
FunctionChoice = Literal["auto", "none"] | FunctionName

_NEUTRAL: Neutral = {"refusal": ("",), "annotations": ([],), "audio": ()}


def check_messages(messages: list[Message]) -> None:
    """Raises InvalidRequest for what a role must have and has not, or the other way round."""
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        _check_neutral(message, where)
        has_called = message.tool_calls or message.function_call
        if message.content is None and not (message.role == "assistant" and has_called):
            raise _wrong(f"{where}.content", f"a message of the role '{message.role}' must have content")
        for name in ("tool_calls", "function_call", "reasoning_content"):
            if getattr(message, name) is not None and message.role != "assistant":
                raise _wrong(f"{where}.{name}", "only assistant messages have it")
        if message.role != "user" and any(isinstance(part, ImagePart) for part in _parts(message)):
            raise _wrong(f"{where}.content", "only user messages hold images")
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


def images_in(messages: list[Message]) -> Iterator[PlacedImage]:
    for position, message in enumerate(messages):
        for at, part in enumerate(_parts(message)):
            if isinstance(part, ImagePart):
                yield PlacedImage(param=f"messages[{position}].content[{at}].image_url", image=part.image_url)


def first_strict(tools: list[Tool]) -> str | None:
    """The parameter that asks for the first strict tool; None where there is none."""
    strict = (position for position, tool in enumerate(tools) if tool.function.strict)
    return next((f"tools[{position}].function.strict" for position in strict), None)


def first_of_functions(messages: list[Message]) -> str | None:
    """The parameter that speaks of functions, as one did before there were tools; None where nothing does."""
    spoken = (at for at, message in enumerate(messages) if message.role == "function" or message.function_call)
    return next((f"messages[{at}]" for at in spoken), None)


def check_tool_choice(choice: ToolChoice | None, tools: list[Tool]) -> None:
    """Raises InvalidRequest for a tool that is not there."""
    names = {tool.function.name for tool in tools}
    if (isinstance(choice, NamedTool) and choice.function.name not in names) or (choice == "required" and not names):
        raise _wrong("tool_choice", "it asks for a tool that is not among 'tools'")


def _text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(part.text for part in _parts(message) if isinstance(part, TextPart))


def _parts(message: Message) -> list[TextPart | ImagePart]:
    return message.content if isinstance(message.content, list) else []


def _check_neutral(message: Message, where: str) -> None:
    try:
        check_neutral(message, _NEUTRAL)
    except InvalidRequest as error:
        raise unsupported(f"{where}.{error.param}", _NEUTRAL[str(error.param)]) from None


def _wrong(param: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for '{param}': {reason}.", param=param, code="invalid_value")
