"""POST /v1/tokenize, in vLLM's words: what a model would be fed, as token ids."""

from collections.abc import Mapping
from typing import Any

import msgspec

from protocol.control import ModelInfo
from workers.engines.base import Generate
from workers.engines.openai.call import Body
from workers.engines.openai.messages import Tool, image_needs, read_messages, read_tools
from workers.engines.openai.parameters import NOTES, decode_object, read_parameters
from workers.errors import BadRequest


class TokenizeParameters(msgspec.Struct, kw_only=True):
    """The body of the request: a chat, or a raw prompt."""

    model: str
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    tools: list[Tool] = msgspec.field(default_factory=list)
    add_generation_prompt: bool | None = None
    continue_final_message: bool = False


def read_tokenize(body: bytes, request_id: str) -> tuple[Generate, Mapping[str, str]]:
    """The generation that the tokens would be for, and what an engine must be able to do for it, each with the
    parameter that asks for it. Raises BadRequest."""
    parameters = read_parameters(TokenizeParameters, decode_object(body), NOTES)
    if (parameters.prompt is None) == (parameters.messages is None):
        raise BadRequest("Give either 'prompt' or 'messages'.", param="prompt")
    generate = Generate(
        request_id=request_id,
        model=parameters.model,
        prompt=parameters.prompt,
        messages=None if parameters.messages is None else read_messages(parameters.messages),
        tools=read_tools(parameters.tools),
        continues_last_message=parameters.continue_final_message,
    )
    return generate, image_needs(parameters.messages or [])


def tokenize_reply(tokens: list[int], info: ModelInfo) -> Body:
    """The answer."""
    return {"count": len(tokens), "max_model_len": info.context_length, "tokens": tokens}
