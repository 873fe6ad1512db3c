"""POST /v1/completions: raw prompts, no template."""

from typing import Annotated, Any, ClassVar

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from msgspec import Meta
from rest_framework.request import Request as HTTPRequest

from gateway.api.schema import described
from gateway.api.views import InferenceView
from gateway.openai.parameters import (
    BEGINNING_LENGTH,
    GenerationRequest,
    Neutral,
    check_generation,
    check_inputs,
)

MAX_PROMPTS = 16
NEUTRAL: Neutral = {"best_of": (1,), "suffix": ("",)}


class CompletionRequest(GenerationRequest, kw_only=True):
    """The body. A prompt may be text or token ids; several prompts give as many choices."""

    prompt: str | list[Any]
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = None
    # From here on only what asks for nothing is let through: see NEUTRAL.
    best_of: int | None = None
    suffix: str | None = None

    @property
    def beginning(self) -> str:
        return self.prompt[:BEGINNING_LENGTH] if isinstance(self.prompt, str) else ""


class CompletionsView(InferenceView):
    """Continues a text."""

    endpoint: ClassVar = "completions"
    request_type: ClassVar = CompletionRequest

    def check(self, asked: CompletionRequest) -> None:
        check_generation(asked, NEUTRAL)
        check_inputs(asked.prompt, "prompt", most=MAX_PROMPTS)

    @extend_schema(**described("createCompletion", CompletionRequest, "Completion", is_streamable=True))
    async def post(self, request: HTTPRequest) -> HttpResponseBase:
        return await super().post(request)
