"""POST /v1/chat/completions."""

from typing import Annotated, Any, ClassVar

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from msgspec import Meta
from rest_framework.request import Request as HTTPRequest

from gateway.api.schema import described
from gateway.api.views import InferenceView
from gateway.errors import InvalidRequest
from gateway.openai.messages import Message, Tool, beginning_of, check_messages, check_tools
from gateway.openai.parameters import (
    NEUTRAL_IN_GENERATIONS,
    GenerationRequest,
    Neutral,
    TokenLimit,
    check_generation,
    unsupported,
)

NEUTRAL: Neutral = {
    **NEUTRAL_IN_GENERATIONS,
    "logprobs": (False,),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "parallel_tool_calls": (True,),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "verbosity": ("medium",),
    "reasoning_effort": ("none",),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "function_call": ("none",),
    "functions": ([],),
}


class ChatRequest(GenerationRequest, kw_only=True):
    """The body. `max_completion_tokens` is the newer name of `max_tokens`; both do."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: TokenLimit | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    # vLLM's names: go on with a last message that is the assistant's.
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    # Notes of the caller's own, without effect.
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    # From here on only what asks for nothing is let through: see NEUTRAL.
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    modalities: list[str] | None = None
    service_tier: str | None = None
    store: bool | None = None
    verbosity: str | None = None
    reasoning_effort: str | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    function_call: str | dict[str, Any] | None = None
    functions: list[Any] | None = None

    @property
    def session(self) -> str:
        return self.prompt_cache_key or self.user or ""

    @property
    def beginning(self) -> str:
        return beginning_of(self.messages)


class ChatCompletionsView(InferenceView):
    """Answers a conversation."""

    endpoint: ClassVar = "chat/completions"
    request_type: ClassVar = ChatRequest

    def check(self, asked: ChatRequest) -> None:
        check_generation(asked, NEUTRAL)
        check_messages(asked.messages)
        check_tools(asked.tools or [])
        if asked.tool_choice not in (None, "auto", "none"):
            raise unsupported("tool_choice", ("auto", "none"))
        _check_limits(asked)

    @extend_schema(**described("createChatCompletion", ChatRequest, "ChatCompletion", is_streamable=True))
    async def post(self, request: HTTPRequest) -> HttpResponseBase:
        return await super().post(request)


def _check_limits(asked: ChatRequest) -> None:
    limits = {asked.max_tokens, asked.max_completion_tokens} - {None}
    if len(limits) > 1:
        raise InvalidRequest(
            "Give either 'max_tokens' or 'max_completion_tokens', not both.", param="max_tokens", code="invalid_value"
        )
