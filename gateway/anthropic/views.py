"""POST /v1/messages and /v1/messages/count_tokens: Anthropic's API for chats."""

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from gateway.anthropic.answer import MessageAnswer, TokenCount
from gateway.anthropic.chat_request import chat_request, conversation
from gateway.anthropic.errors import error_payload
from gateway.anthropic.requests import Conversation, MessagesRequest
from gateway.api.authentication import AnthropicAuthentication
from gateway.api.exception_handler import error_response, translated
from gateway.api.schema import described
from gateway.api.translated import TranslatedView
from gateway.openai.chat import ChatCompletionsView
from gateway.openai.tokenize import TokenizeView


class AnthropicView(TranslatedView):
    """Keys and errors as Anthropic's clients have them."""

    authentication_classes = (AnthropicAuthentication,)

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        response = await super().dispatch(request, *args, **kwargs)
        response["request-id"] = self.http_request.request_id
        return response

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponse]:
        return _error_response


class MessagesView(AnthropicView):
    """Answers a conversation."""

    standard: ClassVar = ChatCompletionsView
    endpoint: ClassVar = ChatCompletionsView.endpoint
    request_type: ClassVar = MessagesRequest

    def in_openais_words(self, asked: MessagesRequest) -> dict[str, Any]:
        return chat_request(asked)

    def words(self, asked: MessagesRequest) -> MessageAnswer:
        shows_thinking = asked.thinking is not None and asked.thinking.is_shown
        return MessageAnswer(self.http_request.request_id, shows_thinking=shows_thinking)

    @extend_schema(**described("createMessage", MessagesRequest, "Message", is_streamable=True, tag="Anthropic"))
    async def post(self, request: Request) -> HttpResponseBase:
        return await super().post(request)


class CountTokensView(AnthropicView):
    """How many tokens a conversation has before it is answered."""

    standard: ClassVar = TokenizeView
    endpoint: ClassVar = TokenizeView.endpoint
    request_type: ClassVar = Conversation

    def in_openais_words(self, asked: Conversation) -> dict[str, Any]:
        shown = ("model", "messages", "tools", "continue_final_message", "add_generation_prompt")
        return {name: value for name, value in conversation(asked).items() if name in shown}

    def words(self, asked: Conversation) -> TokenCount:
        return TokenCount()

    @extend_schema(**described("countMessageTokens", Conversation, "MessageTokens", tag="Anthropic"))
    async def post(self, request: Request) -> HttpResponseBase:
        return await super().post(request)


def _error_response(error: Exception, context: dict[str, Any]) -> HttpResponse:
    told = translated(error)
    response = error_response(told)
    response.content = msgspec.json.encode(error_payload(told, context["view"].http_request.request_id))
    return response
