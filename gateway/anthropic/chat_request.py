"""A request in Anthropic's words → the body of a chat completion."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gateway.anthropic.requests import (
    Block,
    Conversation,
    Image,
    InlineImage,
    MessagesRequest,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from gateway.errors import InvalidRequest

_Body = dict[str, Any]
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def chat_request(asked: MessagesRequest) -> _Body:
    """Raises InvalidRequest for what cannot be said in OpenAI's words."""
    body = conversation(asked) | {
        "max_tokens": asked.max_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "stop": asked.stop_sequences or None,
        "user": asked.metadata.user_id if asked.metadata else None,
        **_output(asked),
    }
    if asked.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return {name: value for name, value in body.items() if value is not None}


def conversation(asked: Conversation) -> _Body:
    """What the model is shown. Raises InvalidRequest."""
    body: _Body = {"model": asked.model, "messages": [*_system(asked), *_messages(asked.messages)]}
    if asked.tools:
        body |= {"tools": [_tool(tool) for tool in asked.tools], **_tool_choice(asked.tool_choice)}
    if asked.messages[-1].role == "assistant":
        # Anthropic's models go on with it.
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body


def _output(asked: MessagesRequest) -> _Body:
    config = asked.output_config
    if config is None:
        return {}
    schema = {"name": "answer", "schema": config.format.schema, "strict": True} if config.format else None
    return {
        "reasoning_effort": config.effort,
        "response_format": {"type": "json_schema", "json_schema": schema} if schema else None,
    }


def _system(asked: Conversation) -> Iterator[_Body]:
    text = asked.system if isinstance(asked.system, str) else "\n\n".join(part.text for part in asked.system or ())
    if text:
        yield {"role": "system", "content": text}


def _messages(turns: list[Turn]) -> Iterator[_Body]:
    for position, turn in enumerate(turns):
        where = f"messages[{position}]"
        blocks: Sequence[Block] = [Text(text=turn.content)] if isinstance(turn.content, str) else turn.content
        if not blocks:
            raise InvalidRequest(f"'{where}.content' must not be empty.", param=f"{where}.content")
        yield from _of_assistant(blocks, where) if turn.role == "assistant" else _of_user(blocks, where)


def _of_user(blocks: Sequence[Block], where: str) -> Iterator[_Body]:
    """Results of tools first: OpenAI wants them next to the calls that they answer."""
    _refuse(blocks, ToolUse, f"{where}: only assistant messages use tools.")
    for block in blocks:
        if isinstance(block, ToolResult):
            yield {"role": "tool", "tool_call_id": block.tool_use_id, "content": _result(block)}
    shown = [block for block in blocks if isinstance(block, Text | Image)]
    if shown:
        yield {"role": "user", "content": _content(shown)}


def _of_assistant(blocks: Sequence[Block], where: str) -> Iterator[_Body]:
    _refuse(blocks, ToolResult, f"{where}: results of tools stand in user messages.")
    _refuse(blocks, Image, f"{where}: an assistant message cannot hold an image.")
    text = "".join(block.text for block in blocks if isinstance(block, Text))
    calls = [_call(block) for block in blocks if isinstance(block, ToolUse)]
    yield {"role": "assistant", "content": text or (None if calls else ""), **({"tool_calls": calls} if calls else {})}


def _refuse(blocks: Sequence[Block], kind: type[Block], message: str) -> None:
    if any(isinstance(block, kind) for block in blocks):
        raise InvalidRequest(message, param="messages")


def _result(block: ToolResult) -> str | list[_Body]:
    """OpenAI has no field that says it is an error, so the text does."""
    parts = [Text(text=block.content)] if isinstance(block.content, str) else block.content
    return _content([Text(text="Error: "), *parts] if block.is_error else parts)


def _content(blocks: Sequence[Text | Image]) -> str | list[_Body]:
    if all(isinstance(block, Text) for block in blocks):
        return "".join(block.text for block in blocks if isinstance(block, Text))
    return [_part(block) for block in blocks]


def _part(block: Text | Image) -> _Body:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text}
    source = block.source
    url = f"data:{source.media_type};base64,{source.data}" if isinstance(source, InlineImage) else source.url
    return {"type": "image_url", "image_url": {"url": url}}


def _call(block: ToolUse) -> _Body:
    arguments = msgspec.json.encode(block.input).decode()
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": arguments}}


def _tool(tool: Tool) -> _Body:
    function: _Body = {"name": tool.name, "parameters": tool.input_schema}
    function |= {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": function | ({"strict": True} if tool.strict else {})}


def _tool_choice(choice: ToolChoice | None) -> _Body:
    if choice is None:
        return {}
    if choice.type == "tool" and not choice.name:
        raise InvalidRequest("'tool_choice.name' must name the tool.", param="tool_choice.name")
    named = {"type": "function", "function": {"name": choice.name}}
    limits = {"parallel_tool_calls": False} if choice.disable_parallel_tool_use else {}
    return {"tool_choice": _CHOICES.get(choice.type, named), **limits}
