"""POST /v1/images/generations."""

from typing import Annotated, ClassVar, Literal

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from msgspec import Meta
from rest_framework.request import Request as HTTPRequest

from gateway.api.schema import described
from gateway.api.views import InferenceView
from gateway.openai.parameters import Name, Neutral, Request, check_neutral

NEUTRAL: Neutral = {"stream": (False,), "partial_images": (0,), "moderation": ("auto",)}


class ImageRequest(Request, kw_only=True):
    """The body. What a model makes of size, quality and the like is its own matter."""

    prompt: Name
    n: Annotated[int, Meta(ge=1, le=10)] | None = None
    size: Annotated[str, Meta(pattern=r"^(auto|\d{1,5}x\d{1,5})$")] | None = None
    quality: Literal["auto", "standard", "hd", "low", "medium", "high"] | None = None
    style: Literal["vivid", "natural"] | None = None
    background: Literal["auto", "transparent", "opaque"] | None = None
    response_format: Literal["url", "b64_json"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    # From here on only what asks for nothing is let through: see NEUTRAL.
    stream: bool | None = None
    partial_images: int | None = None
    moderation: str | None = None


class ImagesView(InferenceView):
    """Draws pictures."""

    endpoint: ClassVar = "images/generations"
    request_type: ClassVar = ImageRequest

    def check(self, asked: ImageRequest) -> None:
        check_neutral(asked, NEUTRAL)

    @extend_schema(**described("createImage", ImageRequest, "Images"))
    async def post(self, request: HTTPRequest) -> HttpResponseBase:
        return await super().post(request)
