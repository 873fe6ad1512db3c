"""Providers that answer on this machine, beside the gateway that serves."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fleet.models import LanguageModel, Provider, ProviderModel
from tests.gateway.providers.openai_server import MODEL, OpenAIServer
from tests.gateway.providers.server import KEY

AddOffer = Callable[..., ProviderModel]


@pytest.fixture(autouse=True)
def networks(settings) -> None:
    settings.PROVIDER_NETWORKS = ["127.0.0.0/8", "::1/128"]


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    server = OpenAIServer()
    yield server
    server.close()


@pytest.fixture
def offer(gateway) -> AddOffer:
    """`offer(url, kind="openai", model="story", upstream_name="gpt-tiny")`: known to the gateway when it returns."""

    def add(
        url: str, *, kind: str = "other", model: str = "story", upstream_name: str = MODEL, **fields: Any
    ) -> ProviderModel:
        provider = fields.pop("provider", None) or Provider.objects.create(
            name=f"cloud {Provider.objects.count()}", kind=kind, base_url=url, credential=KEY
        )
        entry, _ = LanguageModel.objects.get_or_create(name=model)
        made = ProviderModel.objects.create(provider=provider, model=entry, upstream_name=upstream_name, **fields)
        gateway.refresh()
        return made

    return add
