"""Images that callers only link to, fetched for them: an engine never fetches by itself.

Whoever has a key may write any URL, and this server stands inside the network. So every connection is judged by the
address it goes to, those of redirects included, just before it is made: only the public network is reached, and
settings.IMAGE_NETWORKS. A refusal does not tell an address that does not answer from one that is not allowed.
"""

import asyncio
from collections.abc import Hashable
from weakref import WeakValueDictionary

import aiohttp
from django.conf import settings
from yarl import URL

from fleet.errors import AddressRefused
from fleet.guarded_connections import guarded_session
from fleet.outbound import Place, place_of
from gateway.upstream import PooledClient

_MAX_REDIRECTS = 3
_MAX_AT_ONCE = 16
"""In this process; whoever comes later waits, within their time."""
_MAX_AT_ONCE_OF_ONE = 2
"""Of one caller, so that nobody takes all."""
_HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "Flotilla"}


class NotFetched(Exception):
    """Why, and what to do about it, in words for the caller."""


class ImageFetcher:
    """The way to other people's pictures."""

    def __init__(self) -> None:
        self._client = PooledClient(_new_session)
        self._turns: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    async def fetch(self, url: str, *, whose: Hashable, max_bytes: int) -> bytes:
        """`whose`: the caller. Raises NotFetched. Ends by itself only when the connection does: bound the time."""
        async with self._turns.setdefault(whose, asyncio.Semaphore(_MAX_AT_ONCE_OF_ONE)):
            return await self._fetched(url, max_bytes)

    async def close(self) -> None:
        await self._client.close()

    async def _fetched(self, url: str, max_bytes: int) -> bytes:
        try:
            async with self._client.get().get(_checked(url), max_redirects=_MAX_REDIRECTS, headers=_HEADERS) as answer:
                if answer.status != 200:
                    raise NotFetched(f"the link was answered with status {answer.status}. Correct it")
                return await _read(answer, max_bytes)
        except (TimeoutError, asyncio.CancelledError):
            raise
        except aiohttp.TooManyRedirects:
            raise NotFetched("the link leads from one address to the next. Give the last one") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise NotFetched(
                "nothing can be fetched from there: nobody answers, or the address is not public. "
                "Send the image as a data URI"
            ) from None


def check_place(ip: str) -> None:
    """Raises AddressRefused."""
    if place_of(ip, settings.IMAGE_NETWORKS) not in (Place.NAMED, Place.PUBLIC):
        raise AddressRefused(f"{ip} is not public, and in none of IMAGE_NETWORKS.")


def _new_session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=settings.IMAGE_TIMEOUT.total_seconds())
    return guarded_session(check=check_place, timeout=timeout, max_connections=_MAX_AT_ONCE)


def _checked(url: str) -> URL:
    """Raises NotFetched, ValueError."""
    parsed = URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise NotFetched("it is neither a data URI nor a link that begins with https. Send one of these")
    if parsed.user is not None or parsed.password is not None:
        raise NotFetched("links with a user name or password are not followed. Send the image as a data URI")
    return parsed


async def _read(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    parts, size = [], 0
    while part := await answer.content.readany():
        size += len(part)
        if size > max_bytes:
            raise NotFetched(too_large())
        parts.append(part)
    return b"".join(parts)


def too_large() -> str:
    return f"the images of one request may have {settings.MAX_IMAGE_BYTES:,} bytes together. Send smaller or fewer ones"
