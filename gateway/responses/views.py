"""/v1/responses: OpenAI's newer API for chats, which can keep the conversation for the caller."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar

import msgspec
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from gateway.api.schema import described
from gateway.api.translated import TranslatedGeneration, TranslatedView
from gateway.api.views import AnyGeneration, GatewayView
from gateway.errors import BodyTooLarge, InvalidRequest
from gateway.image_inputs import num_prompt_bytes
from gateway.openai.chat import ChatCompletionsView
from gateway.responses import store
from gateway.responses.answer import ResponseAnswer
from gateway.responses.chat_request import Body, chat_request, messages_of
from gateway.responses.requests import ResponsesRequest

logger = logging.getLogger(__name__)


class KeptGeneration(TranslatedGeneration):
    """A response that is in the database before its last byte leaves: the next request may refer to it."""

    def __init__(
        self, generation: AnyGeneration, words: ResponseAnswer, keep: Callable[[ResponseAnswer], Awaitable[None]]
    ) -> None:
        super().__init__(generation, words)
        self._answer = words
        self._keep = keep

    async def _parts(self) -> AsyncIterator[bytes]:
        async for part in super()._parts():
            if self._answer.final:
                await self._keep(self._answer)
            yield part


class ResponsesView(TranslatedView):
    """Answers a conversation, and keeps it unless told not to."""

    standard: ClassVar = ChatCompletionsView
    endpoint: ClassVar = ChatCompletionsView.endpoint
    request_type: ClassVar = ResponsesRequest

    @extend_schema(**described("createResponse", ResponsesRequest, "Response", is_streamable=True))
    async def post(self, request: Request) -> HttpResponseBase:
        return await super().post(request)

    async def checked(self, asked: ResponsesRequest, body: bytes) -> tuple[Any, bytes]:
        self._messages = [*await self._earlier(asked), *messages_of(asked.input)]
        request, body = await super().checked(asked, body)
        # What images take is bounded by itself, and a linked one is no longer a link here.
        if num_prompt_bytes(request.images, body) > settings.MAX_BODY_BYTES:
            raise BodyTooLarge("The conversation has become longer than this server accepts. Begin a new one.")
        return request, body

    def in_openais_words(self, asked: ResponsesRequest) -> Body:
        return chat_request(asked, self._messages)

    def words(self, asked: ResponsesRequest) -> ResponseAnswer:
        return ResponseAnswer(asked, self.http_request.request_id)

    def said(self, generation: AnyGeneration, asked: ResponsesRequest) -> AnyGeneration:
        words = self.words(asked)
        return (
            KeptGeneration(generation, words, self._keep) if asked.is_kept else TranslatedGeneration(generation, words)
        )

    async def _earlier(self, asked: ResponsesRequest) -> list[Body]:
        if asked.previous_response_id is None:
            return []
        stored = await store.find(self.caller, asked.previous_response_id, param="previous_response_id")
        return msgspec.json.decode(stored.messages, type=list[Body])

    async def _keep(self, answer: ResponseAnswer) -> None:
        """Whoever has an answer gets it, even when it cannot be kept."""
        assert answer.final is not None
        if answer.final["status"] == "failed":
            return
        try:
            await store.keep(self.caller, answer.final, [*self._messages, answer.message()])
        except DatabaseError:
            logger.exception("The response %s could not be kept", answer.id)


class StoredResponseView(GatewayView):
    """One that was kept."""

    @extend_schema(**described("getResponse", None, "Response"))
    async def get(self, request: Request, response_id: str) -> HttpResponse:
        stored = await store.find(self.caller, response_id)
        return HttpResponse(bytes(stored.body), content_type="application/json")

    @extend_schema(**described("deleteResponse", None, "DeletedResponse"))
    async def delete(self, request: Request, response_id: str) -> HttpResponse:
        await store.forget(self.caller, response_id)
        told = {"id": response_id, "object": "response", "deleted": True}
        return HttpResponse(msgspec.json.encode(told), content_type="application/json")


class CancelResponseView(GatewayView):
    """None runs in the background, so there is nothing to cancel: a client that hangs up stops its own."""

    @extend_schema(**described("cancelResponse", None, "Response"))
    async def post(self, request: Request, response_id: str) -> HttpResponse:
        await store.find(self.caller, response_id)
        raise InvalidRequest(
            "Only a response that was created with background=true can be cancelled. To stop a stream, close it.",
            param="response_id",
            code="invalid_value",
        )
