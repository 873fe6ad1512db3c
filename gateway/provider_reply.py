"""A provider's answer, as if a worker had given it: in OpenAI's dialect, under our model's name, with our statuses."""

import logging
from typing import Any

import aiohttp
import msgspec

from fleet.provider_access import ProviderAccess
from fleet.provider_words import error_in
from gateway.dialects.base import Translation
from gateway.events import EventBuffer
from gateway.upstream import ConnectionLost, Reply

logger = logging.getLogger(__name__)

_MAX_ERROR_BYTES = 64 * 1024
_OURS_TO_MEND = frozenset({401, 402, 403})
"""Between the provider and whoever pays there; the caller's key is good."""
_ABOUT_THE_REQUEST = frozenset({400, 404, 409, 413, 415, 422})
_FULL = frozenset({429, 503, 529})
_OUT_OF_MONEY = "insufficient_quota"
_TOO_LONG = "prompt is too long"
"""Anthropic's words, which has no code for it; fallbacks of routes look at the code."""


class ProviderReply(Reply):
    """To be closed, or read to its end."""

    def __init__(self, response: aiohttp.ClientResponse, access: ProviderAccess, translation: Translation) -> None:
        super().__init__(response)
        self.num_requests = None
        self._access = access
        self._translation = translation
        self._buffer = EventBuffer()
        self._refusal: bytes | None = None

    async def judge(self) -> None:
        """Read a refusal, if it is one, and make it one that the gateway knows. Raises TransportError."""
        if self.status == 200:
            return
        error = error_in(await super().read(_MAX_ERROR_BYTES))
        their_status, self.status = self.status, _status(self.status, error)
        message = self._access.redacted(str(error.get("message") or ""))
        if self.status == 502:
            logger.error("The provider %s answered %d: %s", self._access.name, their_status, message[:500])
        self._refusal = msgspec.json.encode({"error": _for_the_caller(self.status, error | {"message": message})})

    async def chunk(self) -> bytes:
        """Whole events, translated."""
        while raw := await super().chunk():
            if said := self._translated(raw):
                return said
        return b""

    async def read(self, limit: int) -> bytes:
        if self._refusal is not None:
            return self._refusal
        body = await super().read(limit)
        try:
            return self._translation.answer(body)
        except ValueError as error:
            raise ConnectionLost(f"the provider's answer cannot be read: {error}") from error

    def _translated(self, raw: bytes) -> bytes:
        block = self._buffer.feed(raw)
        try:
            return self._translation.events(block) if block else b""
        except ValueError as error:
            raise ConnectionLost(f"the provider's stream cannot be read: {error}") from error


def _status(status: int, error: dict[str, Any]) -> int:
    """502 and 503 let another replica try; the former is for the administrator to look at."""
    if status in _OURS_TO_MEND or error.get("code") == _OUT_OF_MONEY:
        return 502
    if status in _FULL:
        return 429 if status == 429 else 503
    return status if status in _ABOUT_THE_REQUEST else 502


def _for_the_caller(status: int, error: dict[str, Any]) -> dict[str, Any]:
    if status not in (429, 503):
        return error | ({"code": "context_length_exceeded"} if error["message"].startswith(_TOO_LONG) else {})
    # Theirs speaks of our account.
    code = "rate_limit_exceeded" if status == 429 else "overloaded"
    return {"message": "The model's provider takes no more requests just now.", "type": "server_error", "code": code}
