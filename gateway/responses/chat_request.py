"""A request to /v1/responses → the body of a chat completion."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from gateway.api.parser import wrong_value
from gateway.errors import InvalidRequest
from gateway.openai.parameters import check_neutral
from gateway.responses.requests import (
    NEUTRAL,
    Format,
    FunctionCall,
    FunctionCallOutput,
    Image,
    Item,
    Message,
    PastText,
    Refusal,
    ResponsesRequest,
    Text,
    Tool,
)

Body = dict[str, Any]


def chat_request(asked: ResponsesRequest, messages: Sequence[Body]) -> Body:
    """`messages`: the conversation, without instructions. Raises InvalidRequest."""
    check_neutral(asked, NEUTRAL)
    body = {
        "model": asked.model,
        "messages": [*_instructions(asked), *messages],
        "max_completion_tokens": asked.max_output_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "response_format": _response_format(asked),
        "verbosity": asked.text.verbosity if asked.text else None,
        "reasoning_effort": asked.reasoning.effort if asked.reasoning else None,
        "prompt_cache_key": asked.prompt_cache_key,
        "user": asked.user,
        **_tools(asked),
    }
    if asked.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return {name: value for name, value in body.items() if value is not None}


def messages_of(given: str | list[Body]) -> list[Body]:
    """The input in the words of a chat. Raises InvalidRequest, naming the item."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return _joined(message for position, item in enumerate(given) for message in _messages(_item(item, position)))


def _item(given: Body, position: int) -> Item:
    try:
        return msgspec.convert({"type": "message", **given}, Item)
    except msgspec.ValidationError as error:
        complaint = str(error)
        at = f"`$.input[{position}]"
        raise wrong_value(
            complaint.replace("`$", at) if " - at `$" in complaint else f"{complaint} - at {at}`"
        ) from None


def _messages(item: Item) -> Iterator[Body]:
    match item:
        case Message():
            yield {"role": item.role, "content": _content(item.content)}
        case FunctionCall():
            function = {"name": item.name, "arguments": item.arguments}
            call = {"id": item.call_id, "type": "function", "function": function}
            yield {"role": "assistant", "content": None, "tool_calls": [call]}
        case FunctionCallOutput():
            yield {"role": "tool", "tool_call_id": item.call_id, "content": _content(item.output)}


def _joined(messages: Iterable[Body]) -> list[Body]:
    """Calls belong to the assistant's message before them."""
    joined: list[Body] = []
    for message in messages:
        if message.get("tool_calls") and joined and joined[-1]["role"] == "assistant":
            joined[-1]["tool_calls"] = joined[-1].get("tool_calls", []) + message["tool_calls"]
        else:
            joined.append(message)
    return joined


def _content(content: str | Sequence[Text | PastText | Refusal | Image]) -> str | list[Body]:
    if isinstance(content, str):
        return content
    if any(isinstance(part, Image) for part in content):
        return [_part(part) for part in content]
    return "".join(_text(part) for part in content)


def _part(part: Text | PastText | Refusal | Image) -> Body:
    if isinstance(part, Image):
        detail = {"detail": part.detail} if part.detail else {}
        return {"type": "image_url", "image_url": {"url": part.image_url, **detail}}
    return {"type": "text", "text": _text(part)}


def _text(part: Text | PastText | Refusal | Image) -> str:
    match part:
        case Text() | PastText():
            return part.text
        case Refusal():
            return part.refusal
    return ""


def _instructions(asked: ResponsesRequest) -> list[Body]:
    return [{"role": "system", "content": asked.instructions}] if asked.instructions else []


def _response_format(asked: ResponsesRequest) -> Body | None:
    wanted = asked.text.format if asked.text else None
    if wanted is None or wanted.type == "text":
        return None
    return {"type": "json_object"} if wanted.type == "json_object" else _schema(wanted)


def _schema(wanted: Format) -> Body:
    if wanted.name is None or wanted.schema is None:
        raise InvalidRequest("'text.format' needs a 'name' and a 'schema'.", param="text.format", code="invalid_value")
    fields = {
        "name": wanted.name,
        "schema": wanted.schema,
        "description": wanted.description,
        "strict": wanted.strict,
    }
    return {
        "type": "json_schema",
        "json_schema": {name: value for name, value in fields.items() if value is not None},
    }


def _tools(asked: ResponsesRequest) -> Body:
    if not asked.tools:
        return {}
    choice = asked.tool_choice
    named = choice if choice is None or isinstance(choice, str) else _named(choice.name)
    return {
        "tools": [{"type": "function", "function": _function(tool)} for tool in asked.tools],
        "tool_choice": named,
        "parallel_tool_calls": asked.parallel_tool_calls,
    }


def _named(name: str) -> Body:
    return {"type": "function", "function": {"name": name}}


def _function(tool: Tool) -> Body:
    function: Body = {"name": tool.name}
    function |= {"description": tool.description} if tool.description else {}
    function |= {"parameters": tool.parameters} if tool.parameters is not None else {}
    return function | ({"strict": True} if tool.strict else {})
