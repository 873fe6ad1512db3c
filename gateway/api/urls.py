"""Everything under /v1. Not in the site's URLs: the lean handler resolves these by itself."""

from django.urls import path

from gateway.anthropic.views import CountTokensView, MessagesView
from gateway.openai.chat import ChatCompletionsView
from gateway.openai.completions import CompletionsView
from gateway.openai.embeddings import EmbeddingsView
from gateway.openai.images import ImagesView
from gateway.openai.models import ModelsView, ModelView
from gateway.openai.moderations import ModerationsView
from gateway.openai.rerank import RerankView
from gateway.openai.token_check import TokenCheckView
from gateway.openai.tokenize import TokenizeView
from gateway.openai.transcriptions import TranscriptionsView
from gateway.openai.usage import UsageView
from gateway.responses.views import CancelResponseView, ResponsesView, StoredResponseView

urlpatterns = [
    path("v1/models", ModelsView.as_view()),
    path("v1/models/<path:model>", ModelView.as_view()),
    path("v1/usage", UsageView.as_view()),
    path("v1/chat/completions", ChatCompletionsView.as_view()),
    path("v1/completions", CompletionsView.as_view()),
    path("v1/embeddings", EmbeddingsView.as_view()),
    path("v1/rerank", RerankView.as_view()),
    path("v1/images/generations", ImagesView.as_view()),
    path("v1/audio/transcriptions", TranscriptionsView.as_view()),
    path("v1/moderations", ModerationsView.as_view()),
    path("v1/responses", ResponsesView.as_view()),
    path("v1/responses/<str:response_id>", StoredResponseView.as_view()),
    path("v1/responses/<str:response_id>/cancel", CancelResponseView.as_view()),
    path("v1/messages", MessagesView.as_view()),
    path("v1/messages/count_tokens", CountTokensView.as_view()),
    path("api/v1/token_check", TokenCheckView.as_view()),
    path("v1/tokenize", TokenizeView.as_view()),
]
