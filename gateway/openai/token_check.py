"""POST /api/v1/token_check: FastChat's question whether prompts fit, in its own words."""

from typing import Annotated, Any, ClassVar, cast

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from msgspec import Meta
from rest_framework.request import Request as HTTPRequest

from gateway.api.schema import described
from gateway.api.views import GatewayView
from gateway.generation import Call, new_request_id, open_generation
from gateway.openai.parameters import Name
from gateway.openai.tokenize import TokenizeView

MAX_PROMPTS = 16


class TokenCheck(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One prompt, and how long its answer may be."""

    model: Name
    prompt: str
    max_tokens: Annotated[int, Meta(ge=0)]


class TokenCheckRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body."""

    prompts: Annotated[list[TokenCheck], Meta(max_length=MAX_PROMPTS)]


class _Counted(msgspec.Struct):
    count: int
    max_model_len: int


class TokenCheckView(GatewayView):
    """Each prompt is a request of its own to /v1/tokenize, and leaves a record of its own."""

    request_type: ClassVar = TokenCheckRequest

    @extend_schema(**described("tokenCheck", TokenCheckRequest, "TokenChecks", tag="Flotilla"))
    async def post(self, request: HTTPRequest) -> HttpResponse:
        await self.body()
        asked = cast(TokenCheckRequest, request.data)
        checks = [await self._checked(prompt) for prompt in asked.prompts]
        return HttpResponse(msgspec.json.encode({"prompts": checks}), content_type="application/json")

    async def _checked(self, asked: TokenCheck) -> dict[str, Any]:
        call = Call(
            caller=self.caller,
            endpoint=TokenizeView.endpoint,
            model=asked.model,
            body={"model": asked.model, "prompt": asked.prompt},
            stream=False,
            request_id=new_request_id(),
            address=self.http_request.META.get("REMOTE_ADDR", ""),
            presence=self.http_request.presence,
        )
        async with await open_generation(call) as generation:
            counted = msgspec.json.decode(b"".join([part async for part in generation]), type=_Counted)
        length, num_tokens = counted.max_model_len, counted.count
        return {"fits": num_tokens + asked.max_tokens <= length, "tokenCount": num_tokens, "contextLength": length}
