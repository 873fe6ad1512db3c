"""Ask a provider for its models: can it be reached, does it take our key, what is there to choose from."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import msgspec
from django.core.exceptions import ValidationError
from django.db import transaction

from fleet.errors import ActRefused, ProviderFault
from fleet.models import LanguageModel, Provider, ProviderFailure, ProviderModel
from fleet.provider_access import ProviderAccess, access_to
from fleet.provider_connections import new_session, tls_of
from fleet.provider_presets import Dialect
from fleet.provider_words import words_of

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_MAX_BYTES = 4 * 1024 * 1024
_MAX_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What the provider has; and how long it took to say so."""

    names: tuple[str, ...]
    elapsed_ms: int


class _Entry(msgspec.Struct):
    id: str


class _Listing(msgspec.Struct):
    data: list[_Entry]


def read_catalogue(provider: Provider) -> Catalogue:
    """Raises ProviderFault, which has the provider's own words."""
    return asyncio.run(fetch_catalogue(access_to(provider)))


async def fetch_catalogue(access: ProviderAccess) -> Catalogue:
    """Raises ProviderFault."""
    began_at_s = time.perf_counter()
    status, body = await _fetched(access)
    if status != 200:
        failure = ProviderFailure.REFUSED if status in (401, 403) else ProviderFailure.FAILED
        words = access.redacted(words_of(body))
        raise ProviderFault(failure, f"{status} {words}".strip())
    try:
        names = sorted({entry.id for entry in msgspec.json.decode(body, type=_Listing).data if entry.id})
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProviderFault(ProviderFailure.FAILED, "What it gave is no list of models. Is the URL right?") from error
    elapsed_ms = round((time.perf_counter() - began_at_s) * 1000)
    return Catalogue(names=tuple(name for name in names if len(name) <= _MAX_NAME), elapsed_ms=elapsed_ms)


async def _fetched(access: ProviderAccess) -> tuple[int, bytes]:
    # Anthropic gives twenty at a time, if not asked for more.
    path = "/models?limit=1000" if access.dialect is Dialect.ANTHROPIC else "/models"
    try:
        async with (
            new_session(is_encrypted=access.is_encrypted, timeout=_TIMEOUT) as session,
            session.get(access.url(path), headers=access.headers, allow_redirects=False, ssl=tls_of(access)) as answer,
        ):
            return answer.status, await _read(answer)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        words = "No answer came in time." if isinstance(error, TimeoutError) else str(error)
        raise ProviderFault(ProviderFailure.UNREACHABLE, access.redacted(words)) from error


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The body, or as much of it as anybody needs."""
    parts, size = [], 0
    while size < _MAX_BYTES and (part := await answer.content.readany()):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


@transaction.atomic
def import_models(provider: Provider, names: Sequence[str]) -> list[ProviderModel]:
    """Offer these under their own names, where it is not so yet; those that are new. Raises ActRefused, and adds none,
    where one cannot be a model's name here."""
    added = []
    for name in names:
        offer, is_new = ProviderModel.objects.get_or_create(
            provider=provider,
            model=_our_model(_as_our_own(name)),
            upstream_name=name,
            defaults={"capabilities": _likely(name, provider)},
        )
        added += [offer] if is_new else []
    return added


def _our_model(name: str) -> LanguageModel:
    if known := LanguageModel.objects.filter(name=name).first():
        return known
    model = LanguageModel(name=name)
    try:
        model.full_clean()
    except ValidationError as invalid:
        raise ActRefused(f"{name}: {' '.join(invalid.messages)}") from invalid
    model.save()
    return model


def _as_our_own(name: str) -> str:
    """Gemini lists `models/gemini-x`; the longest name that a model may have here is 100."""
    return name.removeprefix("models/")[:100]


def _likely(name: str, provider: Provider) -> list[str]:
    """Lists of models say nothing of what they can do; the name of an embedding model mostly does."""
    is_embedding = "embed" in name.lower() and access_to(provider).dialect is Dialect.OPENAI
    return ["embeddings"] if is_embedding else ["chat", "tools"]
