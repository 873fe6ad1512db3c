"""POST /v1/tokenize, in vLLM's words: what a model would be fed, as token ids."""

from collections.abc import Sequence
from typing import ClassVar

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request as HTTPRequest

from gateway.api.schema import described
from gateway.api.views import InferenceView
from gateway.errors import InvalidRequest
from gateway.openai.messages import Message, Tool, check_messages, images_in
from gateway.openai.parameters import PlacedImage, Request, need_of


class TokenizeRequest(Request, kw_only=True):
    """The body: a chat, or a raw prompt."""

    prompt: str | None = None
    messages: list[Message] | None = None
    tools: list[Tool] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None

    @property
    def needs(self) -> dict[str, str]:
        return need_of(self.images)

    @property
    def images(self) -> Sequence[PlacedImage]:
        return list(images_in(self.messages or []))


class TokenizeView(InferenceView):
    """Counts and lists the tokens of a prompt."""

    endpoint: ClassVar = "tokenize"
    request_type: ClassVar = TokenizeRequest

    def check(self, asked: TokenizeRequest) -> None:
        if (asked.prompt is None) == (asked.messages is None):
            raise InvalidRequest("Give either 'prompt' or 'messages'.", param="prompt", code="invalid_value")
        check_messages(asked.messages or [])

    @extend_schema(**described("tokenize", TokenizeRequest, "Tokens", tag="Flotilla"))
    async def post(self, request: HTTPRequest) -> HttpResponseBase:
        return await super().post(request)
