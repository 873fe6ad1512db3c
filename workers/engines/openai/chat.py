"""POST /v1/chat/completions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from protocol.parameters import TOOL_CHOICE
from workers.engines.base import (
    Finished,
    FinishReason,
    Generate,
    GenerationEvent,
    Resume,
    Started,
    TextDelta,
    TokenLogprob,
    ToolCall,
    Usage,
)
from workers.engines.openai.call import LEAST_LOGPROB, Body, Choice, Envelope, GenerationCall
from workers.engines.openai.messages import Function, Tool, image_needs, read_messages, read_tools
from workers.engines.openai.parameters import NOTES, Neutral, decode_object, read_parameters
from workers.engines.openai.sampling import SamplingParameters, TokenLimit
from workers.engines.openai.structured import ResponseFormat, read_form
from workers.engines.openai.tool_choice import FunctionChoice, NamedTool, ToolChoice, first_strict, read_tool_use
from workers.errors import BadRequest

NEUTRAL: Neutral = {
    **NOTES,
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "verbosity": ("medium",),
    "audio": (),
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
    logprobs: bool = False
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    tools: list[Tool] = msgspec.field(default_factory=list)
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    functions: list[Function] = msgspec.field(default_factory=list)
    function_call: FunctionChoice = "auto"
    response_format: ResponseFormat | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool = False
    return_token_ids: bool = False
    """Each chunk says which tokens its text was made of."""
    resume: ResumeParameters | None = None

    def needs(self) -> dict[str, str]:
        needs = super().needs()
        if self.tool_choice != "none" and (param := first_strict(self.tools)):
            needs.setdefault(TOOL_CHOICE, param)
        return needs | image_needs(self.messages)

    def num_logprobs(self) -> int | None:
        if self.top_logprobs and not self.logprobs:
            raise BadRequest("'top_logprobs' is only allowed when 'logprobs' is true.", param="top_logprobs")
        return self.top_logprobs if self.logprobs else None


def read_chat(body: bytes, request_id: str) -> GenerationCall:
    """The call in this body. Raises BadRequest."""
    parameters = read_parameters(ChatParameters, decode_object(body), NEUTRAL)
    parameters.check_stream_options()
    needs, is_legacy = parameters.needs(), bool(parameters.functions)
    if is_legacy:
        parameters = _with_tools(parameters)
    is_usage_wanted = bool(parameters.stream_options.include_usage)
    envelope = Envelope(id=f"chatcmpl-{request_id}", model=parameters.model, is_usage_wanted=is_usage_wanted)
    return GenerationCall(
        generates=[_generate(parameters, request_id, choice) for choice in range(parameters.n)],
        capability="chat",
        needs=needs,
        reply=ChatReply(
            envelope,
            tells_tokens=parameters.return_token_ids,
            is_call_named=isinstance(parameters.tool_choice, NamedTool),
            is_legacy=is_legacy,
        ),
        is_stream=parameters.stream,
        is_usage_wanted=is_usage_wanted,
    )


@dataclass(frozen=True, slots=True)
class ChatReply:
    """The answer in the words of this endpoint."""

    envelope: Envelope
    tells_tokens: bool = False
    is_call_named: bool = False
    """The caller said which tool must be called; then OpenAI's answers end with "stop"."""
    is_legacy: bool = False
    """The caller speaks of functions, as one did before there were tools."""

    def chunks(self, index: int, event: GenerationEvent) -> list[Body]:
        match event:
            case Started():
                return [self._chunk(index, {"role": "assistant", "content": "", "refusal": None})]
            case TextDelta(text=text, tokens=tokens, is_thought=True):
                return [self._telling(self._chunk(index, {"reasoning_content": text}), tokens)]
            case TextDelta(text=text, tokens=tokens, logprobs=logprobs):
                chunk = self._chunk(index, {"content": text})
                chunk["choices"][0]["logprobs"] = _logprobs_body(logprobs)
                return [self._telling(chunk, tokens)]
            case ToolCall() if self.is_legacy:
                return [self._chunk(index, {"function_call": _function_body(event)})]
            case ToolCall():
                return [self._chunk(index, {"tool_calls": [{"index": event.index, **_tool_call_body(event)}]})]
            case Finished(finish_reason=reason):
                return [self._chunk(index, {}, finish_reason=self._worded(reason))]

    def usage_chunk(self, usage: Usage) -> Body:
        return self.envelope.usage_chunk(_CHUNK, usage)

    def whole(self, choices: list[Choice], usage: Usage) -> Body:
        bodies = [
            {**_choice_body(index, choice, self.is_legacy), "finish_reason": self._worded(choice.finish_reason)}
            for index, choice in enumerate(choices)
        ]
        return self.envelope.whole(_WHOLE, bodies, usage)

    def _worded(self, reason: FinishReason) -> str:
        if reason != "tool_calls":
            return reason
        return "stop" if self.is_call_named else "function_call" if self.is_legacy else reason

    def _telling(self, chunk: Body, tokens: tuple[int, ...]) -> Body:
        if self.tells_tokens:
            chunk["choices"][0]["token_ids"] = tokens
        return chunk

    def _chunk(self, index: int, delta: Body, finish_reason: str | None = None) -> Body:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self.envelope.chunk(_CHUNK, [choice])


def _generate(parameters: ChatParameters, request_id: str, choice: int) -> Generate:
    _check_continuing(parameters)
    resume = parameters.resume
    return Generate(
        request_id=request_id,
        model=parameters.model,
        messages=read_messages(parameters.messages),
        tools=None if parameters.tool_choice == "none" else read_tools(parameters.tools),
        tool_use=read_tool_use(parameters.tools, parameters.tool_choice, is_parallel=parameters.parallel_tool_calls),
        max_tokens=_max_tokens(parameters),
        stop=parameters.stops(),
        sampling=parameters.sampling(choice),
        form=read_form(parameters.response_format, parameters.structured_outputs),
        is_further_choice=choice > 0,
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


def _max_tokens(parameters: ChatParameters) -> int | None:
    old, new = parameters.max_tokens, parameters.max_completion_tokens
    if None not in (old, new) and old != new:
        raise BadRequest("Give either 'max_tokens' or 'max_completion_tokens', not both.", param="max_tokens")
    return old if new is None else new


def _with_tools(parameters: ChatParameters) -> ChatParameters:
    """The same in the words of today."""
    if parameters.tools:
        raise BadRequest("Give either 'functions' or 'tools', not both.", param="functions")
    choice = parameters.function_call
    return msgspec.structs.replace(
        parameters,
        tools=[Tool(type="function", function=function) for function in parameters.functions],
        tool_choice=choice if isinstance(choice, str) else NamedTool(type="function", function=choice),
        parallel_tool_calls=False,
    )


def _choice_body(index: int, choice: Choice, is_legacy: bool) -> Body:
    message: Body = {"role": "assistant", "content": choice.text, "refusal": None}
    if choice.thought:
        message["reasoning_content"] = choice.thought
    if choice.tool_calls:
        message["content"] = choice.text or None
    if is_legacy and choice.tool_calls:
        message["function_call"] = _function_body(choice.tool_calls[0])
    elif choice.tool_calls:
        message["tool_calls"] = [_tool_call_body(call) for call in choice.tool_calls]
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs_body(choice.logprobs),
    }


def _tool_call_body(call: ToolCall) -> Body:
    return {"id": call.id, "type": "function", "function": _function_body(call)}


def _function_body(call: ToolCall) -> Body:
    return {"name": call.name, "arguments": call.arguments}


def _logprobs_body(logprobs: Sequence[TokenLogprob]) -> Body | None:
    entries = [{**_token_body(item), "top_logprobs": [_token_body(other) for other in item.top]} for item in logprobs]
    return {"content": entries, "refusal": None} if entries else None


def _token_body(item: TokenLogprob) -> Body:
    # JSON knows no minus infinity.
    logprob = max(item.logprob, LEAST_LOGPROB)
    return {"token": item.text, "logprob": logprob, "bytes": list(item.spelling)}
