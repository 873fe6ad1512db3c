"""POST /v1/chat/completions."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from msgspec import Meta
from rest_framework.request import Request as HTTPRequest

from gateway.api.schema import described
from gateway.api.views import InferenceView
from gateway.errors import InvalidRequest
from gateway.openai.messages import (
    Function,
    FunctionChoice,
    FunctionName,
    Message,
    Tool,
    ToolChoice,
    beginning_of,
    check_messages,
    check_tool_choice,
    first_of_functions,
    first_strict,
    images_in,
)
from gateway.openai.parameters import (
    GenerationRequest,
    Neutral,
    PlacedImage,
    ResponseFormat,
    TokenLimit,
    check_generation,
    need_of,
)
from protocol.parameters import FUNCTIONS, TOOL_CHOICE

NEUTRAL: Neutral = {
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "verbosity": ("medium",),
    "reasoning_effort": ("none",),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
}


class ChatRequest(GenerationRequest, kw_only=True):
    """The body. `max_completion_tokens` is the newer name of `max_tokens`; both do."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: TokenLimit | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    # As one asked before there were tools.
    functions: list[Function] | None = None
    function_call: FunctionChoice | None = None
    # vLLM's names: go on with a last message that is the assistant's.
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    # Notes of the caller's own, without effect.
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    # From here on only what asks for nothing is let through: see NEUTRAL.
    modalities: list[str] | None = None
    service_tier: str | None = None
    store: bool | None = None
    verbosity: str | None = None
    reasoning_effort: str | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None

    @property
    def needs(self) -> dict[str, str]:
        needs = super().needs
        if self.tool_choice != "none" and (param := first_strict(self.tools or [])):
            needs.setdefault(TOOL_CHOICE, param)
        if param := first_of_functions(self.messages):
            needs.setdefault(FUNCTIONS, param)
        return needs | need_of(self.images)

    @property
    def images(self) -> Sequence[PlacedImage]:
        return list(images_in(self.messages))

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
        check_tool_choice(asked.tool_choice, asked.tools or [])
        _check_functions(asked)
        _check_limits(asked)
        _check_form(asked)
        if asked.top_logprobs and not asked.logprobs:
            raise InvalidRequest("'top_logprobs' is only allowed when 'logprobs' is true.", param="top_logprobs")

    @extend_schema(**described("createChatCompletion", ChatRequest, "ChatCompletion", is_streamable=True))
    async def post(self, request: HTTPRequest) -> HttpResponseBase:
        return await super().post(request)


def _check_functions(asked: ChatRequest) -> None:
    if asked.functions and asked.tools:
        raise InvalidRequest("Give either 'functions' or 'tools', not both.", param="functions", code="invalid_value")
    choice, names = asked.function_call, {function.name for function in asked.functions or ()}
    if isinstance(choice, FunctionName) and choice.name not in names:
        message = "'function_call' asks for a function that is not among 'functions'."
        raise InvalidRequest(message, param="function_call", code="invalid_value")


def _check_form(asked: ChatRequest) -> None:
    form = asked.response_format
    if form and (form.type == "json_schema") != (form.json_schema is not None):
        raise InvalidRequest(
            "'response_format.json_schema' goes with the type 'json_schema', which needs it.",
            param="response_format.json_schema",
            code="invalid_value",
        )
    if form and form.type != "text" and msgspec.to_builtins(asked.structured_outputs):
        raise InvalidRequest(
            "An answer has one form: give 'response_format' or 'structured_outputs'.",
            param="structured_outputs",
            code="invalid_value",
        )


def _check_limits(asked: ChatRequest) -> None:
    limits = {asked.max_tokens, asked.max_completion_tokens} - {None}
    if len(limits) > 1:
        raise InvalidRequest(
            "Give either 'max_tokens' or 'max_completion_tokens', not both.", param="max_tokens", code="invalid_value"
        )
