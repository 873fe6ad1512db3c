"""POST /v1/rerank, in the words that Jina, Cohere and vLLM share."""

from typing import Annotated, ClassVar

import msgspec
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from msgspec import Meta
from rest_framework.request import Request as HTTPRequest

from gateway.api.schema import described
from gateway.api.views import InferenceView
from gateway.openai.parameters import Name, Request

MAX_DOCUMENTS = 2048


class Document(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Cohere's and Jina's other way of writing a text."""

    text: str


class RerankRequest(Request, kw_only=True):
    """The body."""

    query: Name
    documents: Annotated[list[str | Document], Meta(min_length=1, max_length=MAX_DOCUMENTS)]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool | None = None


class RerankView(InferenceView):
    """Sorts documents by how well they answer a query."""

    endpoint: ClassVar = "rerank"
    request_type: ClassVar = RerankRequest

    async def checked(self, asked: RerankRequest, body: bytes) -> tuple[RerankRequest, bytes]:
        # For whoever is asked, always texts.
        texts = [one.text if isinstance(one, Document) else one for one in asked.documents]
        given = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not None}
        return asked, msgspec.json.encode({**given, "documents": texts})

    @extend_schema(**described("rerank", RerankRequest, "Reranked", tag="Flotilla"))
    async def post(self, request: HTTPRequest) -> HttpResponseBase:
        return await super().post(request)
