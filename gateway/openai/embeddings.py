"""POST /v1/embeddings."""

from typing import Annotated, Any, ClassVar, Literal

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from msgspec import Meta
from rest_framework.request import Request as HTTPRequest

from gateway.api.schema import described
from gateway.api.views import InferenceView
from gateway.errors import InvalidRequest
from gateway.openai.parameters import Request, check_inputs
from protocol.parameters import needed

MAX_INPUTS = 2048


class EmbeddingRequest(Request, kw_only=True):
    """The body. An input may be text or token ids."""

    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None

    @property
    def needs(self) -> dict[str, str]:
        """See protocol.parameters.needed."""
        return needed({"dimensions": self.dimensions})


class EmbeddingsView(InferenceView):
    """Turns texts into vectors."""

    endpoint: ClassVar = "embeddings"
    request_type: ClassVar = EmbeddingRequest

    def check(self, asked: EmbeddingRequest) -> None:
        check_inputs(asked.input, "input", most=MAX_INPUTS)
        if asked.input == "" or (isinstance(asked.input, list) and "" in asked.input):
            raise InvalidRequest("'input' must not hold an empty text.", param="input", code="invalid_value")

    @extend_schema(**described("createEmbedding", EmbeddingRequest, "Embeddings"))
    async def post(self, request: HTTPRequest) -> HttpResponseBase:
        return await super().post(request)
