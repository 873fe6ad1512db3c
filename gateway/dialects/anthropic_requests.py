"""A chat request in OpenAI's words → Anthropic's Messages.

What their API has no words for is refused by name. Neighbouring messages of one side become one, since theirs must take
turns and want all results of one turn's tools together; system messages, wherever they stand, go before all others.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.errors import InvalidRequest
from gateway.openai.parameters import Neutral
from protocol.parameters import NEEDS, TOOL_CHOICE

_LACKING: Neutral = {
    **{name: need.neutral for name, need in NEEDS.items() if need.capability != TOOL_CHOICE},
    "seed": (),
    "continue_final_message": (False,),
}
"""Parameter → the values that ask for nothing. The rest of what the gateway lets through is a note without effect."""

_Block = dict[str, Any]


def messages_request(body: bytes, model: str, *, max_tokens: int) -> bytes:
    """`max_tokens`: where the caller sets no limit. Raises InvalidRequest."""
    asked = msgspec.json.decode(body, type=dict[str, Any])
    _check(asked)
    request = {
        "model": model,
        "max_tokens": asked.get("max_completion_tokens") or asked.get("max_tokens") or max_tokens,
        "system": _system(asked["messages"]),
        "messages": _turns(asked["messages"]),
        "temperature": asked.get("temperature"),
        "top_p": asked.get("top_p"),
        "stop_sequences": _listed(asked.get("stop")),
        "tools": [_tool(tool["function"]) for tool in asked.get("tools") or ()],
        "tool_choice": _tool_choice(asked),
        "metadata": {"user_id": asked["user"]} if asked.get("user") else None,
        "stream": asked.get("stream"),
    }
    return msgspec.json.encode({name: value for name, value in request.items() if value not in (None, [], "")})


def _check(asked: dict[str, Any]) -> None:
    for name, neutral in _LACKING.items():
        if asked.get(name) is not None and asked[name] not in neutral:
            raise _cannot(name, f"'{name}' is not known to this model's provider. Leave it out.")
    if (asked.get("temperature") or 0) > 1:
        raise _cannot("temperature", "This model's provider takes a 'temperature' from 0 to 1.")


def _cannot(param: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, param=param, code="unsupported_value")


def _system(messages: list[_Block]) -> str:
    return "\n\n".join(_text(message) for message in messages if message["role"] in ("system", "developer"))


def _turns(messages: list[_Block]) -> list[_Block]:
    turns: list[_Block] = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            continue
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = list(_blocks(message))
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: _Block) -> Iterator[_Block]:
    """Empty texts are left out: their API refuses them."""
    if message["role"] == "tool":
        yield {"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": _text(message)}
        return
    content = message.get("content") or ""
    parts: list[_Block] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for part in parts:
        if part["type"] == "image_url":
            yield _image(part["image_url"]["url"])
        elif part["text"]:
            yield {"type": "text", "text": part["text"]}
    for call in message.get("tool_calls") or ():
        yield {"type": "tool_use", "id": call["id"], **_used(call["function"])}


def _image(data_uri: str) -> _Block:
    head, _, data = data_uri.partition(";base64,")
    return {"type": "image", "source": {"type": "base64", "media_type": head.removeprefix("data:"), "data": data}}


def _used(function: _Block) -> _Block:
    try:
        given = msgspec.json.decode(function["arguments"] or "{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        message = f"The arguments of the call of '{function['name']}' are not a JSON object."
        raise InvalidRequest(message, param="messages", code="invalid_value") from error
    return {"name": function["name"], "input": given}


def _text(message: _Block) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _tool(function: _Block) -> _Block:
    tool = {"name": function["name"], "input_schema": function.get("parameters") or {"type": "object"}}
    tool |= {"strict": True} if function.get("strict") else {}
    return tool | ({"description": function["description"]} if function.get("description") else {})


def _tool_choice(asked: dict[str, Any]) -> _Block | None:
    """Their API takes one only beside tools."""
    choice, is_parallel = asked.get("tool_choice"), asked.get("parallel_tool_calls") is not False
    if not asked.get("tools") or (choice is None and is_parallel):
        return None
    if isinstance(choice, dict):
        worded = {"type": "tool", "name": choice["function"]["name"]}
    else:
        worded = {"type": {None: "auto", "required": "any"}.get(choice, choice)}
    return worded | ({} if is_parallel or choice == "none" else {"disable_parallel_tool_use": True})


def _listed(stop: str | list[str] | None) -> list[str]:
    return [stop] if isinstance(stop, str) else stop or []
