"""Everything under /v1. Not in the site's URLs: the lean handler resolves these by itself."""

from django.urls import path

from gateway.openai.chat import ChatCompletionsView
from gateway.openai.completions import CompletionsView
from gateway.openai.embeddings import EmbeddingsView
from gateway.openai.models import ModelsView, ModelView

urlpatterns = [
    path("v1/models", ModelsView.as_view()),
    path("v1/models/<path:model>", ModelView.as_view()),
    path("v1/chat/completions", ChatCompletionsView.as_view()),
    path("v1/completions", CompletionsView.as_view()),
    path("v1/embeddings", EmbeddingsView.as_view()),
]
