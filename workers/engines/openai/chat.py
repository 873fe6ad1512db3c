"""POST /v1/chat/completions."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from workers.engines.base import Finished, Generate, GenerationEvent, Resume, Started, TextDelta, ToolCall, Usage
from workers.engines.openai.call import Body, Choice, Envelope, GenerationCall
from workers.engines.openai.messages import Tool, read_messages, read_tools
from workers.engines.openai.parameters import NOTES, Neutral, decode_object, read_parameters
from workers.engines.openai.sampling import NEUTRAL as NEUTRAL_IN_SAMPLING
from workers.engines.openai.sampling import SamplingParameters, TokenLimit
from workers.errors import BadRequest

NEUTRAL: Neutral = {
    **NOTES,
    **NEUTRAL_IN_SAMPLING,
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "parallel_tool_calls": (True,),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "verbosity": ("medium",),
    "audio": (),
    "function_call": ("none",),
    "functions": ([],),
    "prediction": (),
    "reasoning_effort": ("none",),
    "web_search_options": (),
}

_CHUNK, _WHOLE = "chat.completion.chunk", "chat.completion"


class ResumeParameters(msgspec.Struct, forbid_unknown_fields=True):
    """Our own, between gateway and engine: see base.Resume."""

    token_ids: list[Annotated[int, msgspec.Meta(ge=0)]]
    num_chars: Annotated[int, msgspec.Meta(ge=0)]


class ChatParameters(SamplingParameters, kw_only=True):
    """The body of the request. From `add_generation_prompt` on the names are vLLM's."""

    messages: list[dict[str, Any]]
    max_completion_tokens: TokenLimit | None = None
    tools: list[Tool] = msgspec.field(default_factory=list)
    tool_choice: str | dict[str, Any] = "auto"
    add_generation_prompt: bool | None = None
    continue_final_message: bool = False
    return_token_ids: bool = False
    """Each chunk says which tokens its text was made of."""
    resume: ResumeParameters | None = None


def read_chat(body: bytes, request_id: str) -> GenerationCall:
    """The call in this body. Raises BadRequest."""
    parameters = read_parameters(ChatParameters, decode_object(body), NEUTRAL)
    parameters.check_stream_options()
    is_usage_wanted = bool(parameters.stream_options.include_usage)
    envelope = Envelope(id=f"chatcmpl-{request_id}", model=parameters.model, is_usage_wanted=is_usage_wanted)
    return GenerationCall(
        generates=[_generate(parameters, request_id)],
        capability="chat",
        reply=ChatReply(envelope, tells_tokens=parameters.return_token_ids),
        is_stream=parameters.stream,
        is_usage_wanted=is_usage_wanted,
    )


@dataclass(frozen=True, slots=True)
class ChatReply:
    """The answer in the words of this endpoint."""

    envelope: Envelope
    tells_tokens: bool = False

    def chunks(self, index: int, event: GenerationEvent) -> list[Body]:
        match event:
            case Started():
                return [self._chunk(index, {"role": "assistant", "content": "", "refusal": None})]
            case TextDelta(text=text, tokens=tokens):
                chunk = self._chunk(index, {"content": text})
                if self.tells_tokens:
                    chunk["choices"][0]["token_ids"] = tokens
                return [chunk]
            case ToolCall():
                return [self._chunk(index, {"tool_calls": [{"index": event.index, **_tool_call_body(event)}]})]
            case Finished(finish_reason=reason):
                return [self._chunk(index, {}, finish_reason=reason)]

    def usage_chunk(self, usage: Usage) -> Body:
        return self.envelope.usage_chunk(_CHUNK, usage)

    def whole(self, choices: list[Choice], usage: Usage) -> Body:
        bodies = [_choice_body(index, choice) for index, choice in enumerate(choices)]
        return self.envelope.whole(_WHOLE, bodies, usage)

    def _chunk(self, index: int, delta: Body, finish_reason: str | None = None) -> Body:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self.envelope.chunk(_CHUNK, [choice])


def _generate(parameters: ChatParameters, request_id: str) -> Generate:
    _check_continuing(parameters)
    resume = parameters.resume
    return Generate(
        request_id=request_id,
        messages=read_messages(parameters.messages),
        tools=_tools(parameters),
        max_tokens=_max_tokens(parameters),
        stop=parameters.stops(),
        sampling=parameters.sampling(),
        continues_last_message=parameters.continue_final_message,
        resume=Resume(tokens=tuple(resume.token_ids), num_chars=resume.num_chars) if resume else None,
    )


def _check_continuing(parameters: ChatParameters) -> None:
    if parameters.return_token_ids and not parameters.stream:
        raise BadRequest("'return_token_ids' is only allowed when 'stream' is true.", param="return_token_ids")
    if parameters.add_generation_prompt is parameters.continue_final_message:
        raise BadRequest(
            "'add_generation_prompt' must be false when 'continue_final_message' is true, and true otherwise.",
            param="add_generation_prompt",
        )
    last = parameters.messages[-1] if parameters.messages else {}
    if parameters.continue_final_message and (last.get("role") != "assistant" or not last.get("content")):
        raise BadRequest(
            "'continue_final_message' needs a last message of the assistant's, with text to go on from.",
            param="continue_final_message",
        )


def _tools(parameters: ChatParameters) -> list[dict[str, Any]] | None:
    if parameters.tool_choice not in ("auto", "none"):
        raise BadRequest(
            'Unsupported value: \'tool_choice\' can only be "auto" or "none" with this model.',
            param="tool_choice",
            code="unsupported_value",
        )
    tools = read_tools(parameters.tools)
    return None if parameters.tool_choice == "none" else tools


def _max_tokens(parameters: ChatParameters) -> int | None:
    old, new = parameters.max_tokens, parameters.max_completion_tokens
    if None not in (old, new) and old != new:
        raise BadRequest("Give either 'max_tokens' or 'max_completion_tokens', not both.", param="max_tokens")
    return old if new is None else new


def _choice_body(index: int, choice: Choice) -> Body:
    message: Body = {"role": "assistant", "content": choice.text, "refusal": None}
    if choice.tool_calls:
        message["content"] = choice.text or None
        message["tool_calls"] = [_tool_call_body(call) for call in choice.tool_calls]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish_reason}


def _tool_call_body(call: ToolCall) -> Body:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
