"""What the views of /v1 share: the REST framework's steps, run on the event loop without a thread."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, cast

import msgspec
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from gateway.api.authentication import BearerAuthentication, await_new_key
from gateway.api.exception_handler import handle_exception, translated
from gateway.api.parser import StructParser
from gateway.api.requests import GatewayRequest
from gateway.errors import InvalidRequest, UnsupportedMediaType
from gateway.generation import Call, Caller, Generation, QueuedGeneration, open_generation, record_refusal
from gateway.runtime import current

_SESSION_HEADER = "HTTP_X_SESSION_ID"
"""For callers that keep sessions apart; OpenAI's `prompt_cache_key` and `user` do as well."""


class GenerationResponse(StreamingHttpResponse):
    """A stream. Whoever sends it enters `generation`, so that it is left whatever happens."""

    def __init__(self, generation: Generation | QueuedGeneration) -> None:
        super().__init__(generation, status=generation.status, content_type="text/event-stream; charset=utf-8")
        self["Cache-Control"] = "no-cache"
        # nginx would otherwise collect the stream before it passes it on.
        self["X-Accel-Buffering"] = "no"
        self.generation = generation


class GatewayView(APIView):
    """A view of which every method is a coroutine and every answer is rendered already."""

    authentication_classes = (BearerAuthentication,)
    permission_classes = (IsAuthenticated,)
    parser_classes = (StructParser,)

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        """As APIView.dispatch, but awaited: that one would need a thread for each request."""
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        try:
            await await_new_key(request.META.get("HTTP_AUTHORIZATION", ""))
            self.check_permissions(self.request)
            return await self._handler()(self.request, *args, **kwargs)
        except Exception as error:
            return self.handle_exception(error)

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponse]:
        return handle_exception

    def _handler(self) -> Callable[..., Any]:
        method = (self.request.method or "").lower()
        allowed = method in self.http_method_names and method != "options"
        return getattr(self, method, self.http_method_not_allowed) if allowed else self.http_method_not_allowed


class InferenceView(GatewayView):
    """POST a request, get a generation."""

    endpoint: ClassVar[str]
    request_type: ClassVar[type[msgspec.Struct]]

    def check(self, asked: Any) -> None:
        """What the types of the request cannot say. Raises InvalidRequest."""

    async def post(self, request: Request) -> HttpResponseBase:
        # First of all: even a refusal must be recorded.
        current().journal.check()
        generation = await open_generation(await self._call(request))
        if generation.is_stream:
            return GenerationResponse(generation)
        async with generation:
            body = b"".join([part async for part in generation])
        return HttpResponse(body, content_type="application/json")

    async def _call(self, request: Request) -> Call:
        """What is asked, checked; a refusal leaves its record here."""
        http, caller = cast(GatewayRequest, request._request), cast(Caller, request.user)
        call = Call(caller=caller, endpoint=self.endpoint, model="", body=b"", stream=False, request_id=http.request_id)
        try:
            body = await self._body(http)
            return self._accepted(request.data, call, body)
        except asyncio.CancelledError as gone:
            record_refusal(call, gone)
            raise
        except Exception as error:
            refusal = translated(error)
            record_refusal(call, refusal)
            raise refusal from None

    async def _body(self, http: GatewayRequest) -> bytes:
        if http.META.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
            raise UnsupportedMediaType("Compressed request bodies are not supported: send plain JSON.")
        http.META["CONTENT_TYPE"] = http.META.get("CONTENT_TYPE") or StructParser.media_type
        body = await http.read_body()
        if not body:
            raise InvalidRequest("The request has no body: send a JSON object.")
        return body

    def _accepted(self, asked: Any, call: Call, body: bytes) -> Call:
        self.check(asked)
        stream = bool(getattr(asked, "stream", False))
        return replace(
            call,
            model=asked.model,
            body=body,
            stream=stream,
            session=self.request.META.get(_SESSION_HEADER) or asked.session,
            beginning=asked.beginning,
        )
