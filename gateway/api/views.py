"""What the views of /v1 share: the REST framework's steps, run on the event loop without a thread."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self, cast

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.views import APIView

from gateway.api.authentication import BearerAuthentication, MayCallModels, await_new_key
from gateway.api.exception_handler import handle_exception, translated
from gateway.api.parser import StructParser
from gateway.api.requests import GatewayRequest
from gateway.errors import InvalidRequest, MethodNotAllowed, UnsupportedMediaType
from gateway.generation import Call, Caller, open_generation, record_refusal
from gateway.image_inputs import check_somebody_sees, num_prompt_bytes, with_images
from gateway.models import KeyScope
from gateway.receipt import Receipt, server_timing
from gateway.reserving import Size, holding
from gateway.runtime import current

_SESSION_HEADER = "HTTP_X_SESSION_ID"
"""For callers that keep sessions apart; OpenAI's `prompt_cache_key` and `user` do as well."""


class AnyGeneration(Protocol):
    """A Generation, or what may be used as one."""

    status: int
    is_stream: bool

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Opened(AnyGeneration, Protocol):
    """One as it comes from the road, before it is said in other words."""

    headers: Mapping[str, str]
    receipt: Receipt | None


class GenerationResponse(StreamingHttpResponse):
    """A stream. Whoever sends it enters `generation`, so that it is left whatever happens."""

    def __init__(self, generation: AnyGeneration, headers: Mapping[str, str]) -> None:
        kind = "text/event-stream; charset=utf-8"
        super().__init__(generation, status=generation.status, content_type=kind, headers=dict(headers))
        self["Cache-Control"] = "no-cache"
        # nginx would otherwise collect the stream before it passes it on.
        self["X-Accel-Buffering"] = "no"
        self.generation = generation


class GatewayView(APIView):
    """A view of which every method is a coroutine and every answer is rendered already."""

    authentication_classes: tuple[type[BearerAuthentication], ...] = (BearerAuthentication,)
    permission_classes = (MayCallModels,)
    parser_classes: tuple[type[BaseParser], ...] = (StructParser,)

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        """As APIView.dispatch, but awaited: that one would need a thread for each request."""
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        try:
            await await_new_key(self.authentication_classes[0]().secret(request))
            self.check_permissions(self.request)
            self.http_request.authenticated_at_s = time.perf_counter()
            return await self._handler()(self.request, *args, **kwargs)
        except Exception as error:
            return self.handle_exception(error)

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponse]:
        return handle_exception

    @property
    def http_request(self) -> GatewayRequest:
        return cast(GatewayRequest, self.request._request)

    @property
    def caller(self) -> Caller:
        return cast(Caller, self.request.user)

    @property
    def max_body_bytes(self) -> int:
        return settings.MAX_BODY_BYTES

    async def body(self) -> bytes:
        """All of it; from here on `request.data` has what is in it. Raises GatewayError."""
        http = self.http_request
        if http.META.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
            raise UnsupportedMediaType("Compressed request bodies are not supported: send plain JSON.")
        http.META["CONTENT_TYPE"] = http.META.get("CONTENT_TYPE") or StructParser.media_type
        body = await http.read_body(self.max_body_bytes)
        if not body:
            raise InvalidRequest("The request has no body: send a JSON object.")
        return body

    @property
    def allowed_methods(self) -> list[str]:
        """Browsers are told of others by gateway/cors.py, before any view is asked."""
        return [method for method in super().allowed_methods if method != "OPTIONS"]

    def _handler(self) -> Callable[..., Any]:
        """Raises MethodNotAllowed."""
        method = self.request.method or ""
        if method not in self.allowed_methods:
            raise MethodNotAllowed(self.allowed_methods)
        handler: Callable[..., Any] = getattr(self, method.lower())
        return handler


class InferenceView(GatewayView):
    """POST a request, get a generation."""

    endpoint: ClassVar[str]
    request_type: ClassVar[type[msgspec.Struct]]

    def check(self, asked: Any) -> None:
        """What the types of the request cannot say. Raises InvalidRequest."""

    async def checked(self, asked: Any, body: bytes) -> tuple[Any, bytes]:
        """The request that the road is given: its fields and its bytes, in OpenAI's words. Raises InvalidRequest."""
        self.check(asked)
        return asked, await self._with_images(asked, body)

    async def opened(self, call: Call) -> Opened:
        """The answer, as soon as it begins. Raises GatewayError, recorded."""
        return await open_generation(call)

    def said(self, generation: AnyGeneration, asked: Any) -> AnyGeneration:
        """The answer in the words of this endpoint."""
        return generation

    async def post(self, request: Request) -> HttpResponseBase:
        # First of all: even a refusal must be recorded.
        current().journal.check()
        opened = await self.opened(await self._call(request))
        response = await self._response(self.said(opened, request.data), opened.headers)
        self._explain(response, opened.receipt)
        return response

    async def _response(self, generation: AnyGeneration, headers: Mapping[str, str]) -> HttpResponseBase:
        if generation.is_stream:
            return GenerationResponse(generation, headers)
        async with generation:
            body = b"".join([part async for part in generation])
        return HttpResponse(body, content_type="application/json", headers=dict(headers))

    def _explain(self, response: HttpResponseBase, receipt: Receipt | None) -> None:
        """Where the time went, for everybody; who answered, for those who may see it."""
        http = self.http_request
        auth_s, total_s = http.authenticated_at_s - http.started_at_s, time.perf_counter() - http.started_at_s
        spent_s = receipt.durations_s if receipt else {}
        response["Server-Timing"] = server_timing({"auth": auth_s, **spent_s, "total": total_s})
        if receipt and KeyScope.RECEIPTS in self.caller.scopes:
            response["X-Flotilla-Receipt"] = receipt.worded()

    async def _call(self, request: Request) -> Call:
        """What is asked, checked; a refusal leaves its record here."""
        http = self.http_request
        call = Call(
            caller=self.caller,
            endpoint=self.endpoint,
            model="",
            body=b"",
            stream=False,
            request_id=http.request_id,
            address=http.META.get("REMOTE_ADDR", ""),
            presence=http.presence,
        )
        try:
            body = await self.body()
            call = replace(call, model=getattr(request.data, "model", None) or "")
            return await self._accepted(request.data, call, body)
        except asyncio.CancelledError as gone:
            record_refusal(call, gone)
            raise
        except Exception as error:
            refusal = translated(error)
            record_refusal(call, refusal)
            raise refusal from None

    async def _with_images(self, asked: Any, body: bytes) -> bytes:
        """Raises InvalidImage, UnsupportedParameter, ModelNotFound, RateLimitExceeded, InsufficientQuota."""
        images = asked.images
        if not images:
            return body
        self.caller.require_name(asked.model)
        runtime = current()
        check_somebody_sees(asked.model, images[0].param, runtime.poller.latest)
        num_bytes = num_prompt_bytes(images, body)
        size = Size(model=asked.model, num_bytes=num_bytes, max_tokens=_max_tokens(asked))
        async with holding(runtime.limiter, runtime.poller.latest, self.caller, size):
            fetch = partial(runtime.images.fetch, whose=(self.caller.user_id, self.caller.key_id))
            return await with_images(body, images, fetch)

    async def _accepted(self, asked: Any, call: Call, body: bytes) -> Call:
        asked, body = await self.checked(asked, body)
        stream = bool(getattr(asked, "stream", False))
        return replace(
            call,
            model=asked.model,
            body=body,
            num_prompt_bytes=num_prompt_bytes(asked.images, body),
            stream=stream,
            max_tokens=_max_tokens(asked),
            session=self.request.META.get(_SESSION_HEADER) or asked.session,
            beginning=asked.beginning,
            needs=asked.needs,
        )


def _max_tokens(asked: Any) -> int | None:
    """Of all answers together."""
    of_each = getattr(asked, "max_completion_tokens", None) or getattr(asked, "max_tokens", None)
    return of_each and of_each * (getattr(asked, "n", None) or 1)
