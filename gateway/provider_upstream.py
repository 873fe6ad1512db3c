"""The way to providers: one pool of connections with TLS, one without; redirects are not followed."""

from collections.abc import Callable
from functools import partial

import aiohttp
from django.conf import settings
from yarl import URL

from fleet.provider_access import HostedModel, ProviderAccess
from fleet.provider_connections import new_session, tls_of
from fleet.provider_presets import Dialect
from fleet.snapshot import RoutableReplica
from gateway.dialects.anthropic import AnthropicTranslation
from gateway.dialects.base import Translation
from gateway.dialects.openai import OpenAITranslation
from gateway.provider_reply import ProviderReply
from gateway.upstream import PooledClient, sendable, transport_errors
from protocol.transcription import ENDPOINT, form_of

_CONNECT_TIMEOUT_S = 10
"""Longer than for workers: these are on other continents."""

DIALECTS: dict[Dialect, Callable[[str, HostedModel, str], Translation]] = {
    Dialect.OPENAI: OpenAITranslation,
    Dialect.ANTHROPIC: AnthropicTranslation,
}


class ProviderUpstream:
    """The way to the providers."""

    def __init__(self) -> None:
        self._clients = {
            is_encrypted: PooledClient(partial(_new_session, is_encrypted)) for is_encrypted in (True, False)
        }

    async def post(self, replica: RoutableReplica, hosted: HostedModel, endpoint: str, body: bytes) -> ProviderReply:
        """Send a request and await the head of its answer, all of it if it is a refusal.

        Raises TransportError; InvalidRequest for what this provider cannot be asked.
        """
        translation = DIALECTS[hosted.access.dialect](replica.model, hosted, endpoint)
        data, access = translation.request(body), hosted.access
        media_type = "application/json"
        if endpoint == ENDPOINT:
            data, media_type = form_of(data)
        with transport_errors:
            response = (
                await self._clients[access.is_encrypted]
                .get()
                .post(
                    URL(access.url(translation.path), encoded=True),
                    data=sendable(data),
                    headers=_headers(access, media_type),
                    allow_redirects=False,
                    ssl=tls_of(access),
                )
            )
        reply = ProviderReply(response, access, translation)
        await reply.judge()
        return reply

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def _new_session(is_encrypted: bool) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(
        total=None,
        connect=_CONNECT_TIMEOUT_S,
        sock_connect=_CONNECT_TIMEOUT_S,
        sock_read=settings.UPSTREAM_READ_TIMEOUT.total_seconds(),
    )
    return new_session(is_encrypted=is_encrypted, timeout=timeout)


def _headers(access: ProviderAccess, media_type: str) -> dict[str, str]:
    return {**access.headers, "Content-Type": media_type, "Accept-Encoding": "identity"}
