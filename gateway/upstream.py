"""Connections to workers; those to providers, who share the seam, are in provider_upstream.py.

One pooled client for each event loop. Requests go to the pinned address, with the Host header that the worker
advertised; redirects are not followed, cookies not kept, bodies not decompressed.
"""

import asyncio
from collections.abc import Callable, Mapping
from io import BytesIO
from types import TracebackType

import aiohttp
import msgspec
from django.conf import settings
from yarl import URL

from fleet.snapshot import RoutableReplica
from fleet.trust import server_name, trusted
from gateway.usage import TokenCounts

QUICK_S = 1.0
"""How long the end of a request may take when nobody waits for its answer any more."""

_MAX_CANCELLED_BYTES = 4096
_LARGE_BYTES = 1024 * 1024
"""From here on a body goes piece by piece: written at once it would hold up the event loop."""


_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ServerFingerprintMismatch)


class TransportError(Exception):
    """The worker could not be talked to."""


class CannotConnect(TransportError):
    """No connection came about: nothing was sent."""


class ConnectionLost(TransportError):
    """The connection broke, or closed before the answer was whole."""


class UpstreamSilent(TransportError):
    """Nothing came for settings.UPSTREAM_READ_TIMEOUT."""


class TooLarge(TransportError):
    """The answer is larger than we are ready to hold."""


class _TransportErrors:
    """Turns aiohttp's errors into ours. The order matters: a connect timeout is also a timeout, and also an OSError."""

    def __enter__(self) -> None: ...

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if isinstance(error, _NOT_CONNECTED):
            raise CannotConnect(str(error)) from error
        if isinstance(error, TimeoutError):
            raise UpstreamSilent(str(error)) from error
        if isinstance(error, aiohttp.ClientError | OSError):
            raise ConnectionLost(repr(error)) from error


transport_errors = _TransportErrors()


class _Cancelled(msgspec.Struct, frozen=True):
    usage: TokenCounts


class Reply:
    """A worker's answer of which the head has come. To be closed, or read to its end."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.retry_after_s = _count(response.headers.get("Retry-After"))
        self.num_requests = _num_requests(response.headers)
        """Running and waiting on that replica, this one included; None where the worker does not say."""

    async def chunk(self) -> bytes:
        """The next bytes, as they come; none at the end. Raises TransportError."""
        return await self._received()

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises TransportError; TooLarge beyond `limit` bytes."""
        parts, size = [], 0
        while chunk := await self._received():
            size += len(chunk)
            if size > limit:
                raise TooLarge
            parts.append(chunk)
        return b"".join(parts)

    async def finish(self) -> None:
        """Read what little may follow the end of a stream, so that the connection can be used again."""
        content = self._response.content
        try:
            async with asyncio.timeout(QUICK_S):
                while not content.at_eof() and await content.readany():
                    pass
        except (TimeoutError, aiohttp.ClientError, OSError):
            self.close()

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else cut it."""
        self._response.close()

    async def _received(self) -> bytes:
        content = self._response.content
        with transport_errors:
            try:
                return await content.readany()
            except (aiohttp.ClientError, OSError):
                # After a loss aiohttp keeps to itself what had come before it; there is no public way to that.
                if rest := content._read_nowait(-1):
                    return rest
                raise


class PooledClient:
    """An HTTP client for the loop that runs, made when it is first asked for."""

    def __init__(self, make: Callable[[], aiohttp.ClientSession]) -> None:
        self._make = make
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            self._session, self._loop = self._make(), loop
        return self._session

    async def close(self) -> None:
        if self._session and self._loop is asyncio.get_running_loop():
            await self._session.close()
        self._session = None


class Upstream:
    """The way to the workers."""

    def __init__(self) -> None:
        self._client = PooledClient(_new_session)

    async def post(self, replica: RoutableReplica, path: str, *, body: bytes, request_id: str) -> Reply:
        """Send a request and await the head of its answer. Raises TransportError."""
        with transport_errors:
            response = await self._client.get().post(
                URL(replica.url + path, encoded=True),
                data=sendable(body),
                headers=_headers(replica, request_id),
                allow_redirects=False,
                server_hostname=server_name(replica.url, replica.host_header),
                ssl=trusted(replica.certificate_sha256),
            )
        return Reply(response)

    async def cancel(self, replica: RoutableReplica, request_id: str) -> TokenCounts | None:
        """End a request that runs there. Gives what it used, by the engine's count; None if nothing ran by that id.

        Raises TransportError, within a second.
        """
        path = f"/v1/requests/{request_id}/cancel"
        try:
            async with asyncio.timeout(QUICK_S):
                reply = await self.post(replica, path, body=b"", request_id=request_id)
                return _cancelled_usage(reply.status, await reply.read(_MAX_CANCELLED_BYTES))
        except TimeoutError as error:
            raise UpstreamSilent("no answer to a cancellation") from error

    async def is_well(self, replica: RoutableReplica) -> bool:
        """Whether its worker answers, and says that the replica does. Raises TransportError, within a second."""
        try:
            async with asyncio.timeout(QUICK_S):
                with transport_errors:
                    response = await self._client.get().get(
                        URL(f"{replica.url}/health", encoded=True),
                        headers=_headers(replica, "probe"),
                        allow_redirects=False,
                        server_hostname=server_name(replica.url, replica.host_header),
                        ssl=trusted(replica.certificate_sha256),
                    )
        except TimeoutError as error:
            raise UpstreamSilent("no answer to a probe") from error
        response.close()
        return response.status == 200

    async def close(self) -> None:
        await self._client.close()


def sendable(body: bytes) -> bytes | BytesIO:
    """The body, as aiohttp should be given it."""
    return body if len(body) < _LARGE_BYTES else BytesIO(body)


def _new_session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(
        total=None,
        sock_connect=settings.UPSTREAM_CONNECT_TIMEOUT.total_seconds(),
        sock_read=settings.UPSTREAM_READ_TIMEOUT.total_seconds(),
    )
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=timeout,
    )


def _headers(replica: RoutableReplica, request_id: str) -> dict[str, str]:
    return {
        "Host": replica.host_header,
        "Authorization": f"Bearer {replica.secret}",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "X-Request-ID": request_id,
        "X-Flotilla-Replica": replica.replica_id,
    }


def _cancelled_usage(status: int, body: bytes) -> TokenCounts | None:
    try:
        return msgspec.json.decode(body, type=_Cancelled).usage if status == 200 else None
    except msgspec.DecodeError:
        return None


def _num_requests(headers: Mapping[str, str]) -> int | None:
    running, waiting = _count(headers.get("X-Flotilla-Running")), _count(headers.get("X-Flotilla-Waiting"))
    return None if running is None or waiting is None else running + waiting


def _count(header: str | None) -> int | None:
    return int(header) if header and header.isdecimal() and header.isascii() and len(header) < 6 else None
