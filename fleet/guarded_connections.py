"""HTTP clients for servers that somebody else chose. Names are resolved for each connection, and its address is judged
before it is made: what a name led to earlier counts for nothing. Cookies are not kept, bodies not decompressed."""

import socket
from collections.abc import Callable
from functools import partial

import aiohttp

from fleet.errors import AddressRefused
from fleet.name_lookups import Resolver

Check = Callable[[str], None]
"""Of an IP address. Raises AddressRefused."""


def guarded_session(*, check: Check, timeout: aiohttp.ClientTimeout, max_connections: int = 0) -> aiohttp.ClientSession:
    """`max_connections`: at a time; 0: as many as it takes."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=max_connections, socket_factory=partial(_guarded_socket, check), resolver=Resolver()
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=timeout,
    )


def _guarded_socket(check: Check, address: tuple[object, ...]) -> socket.socket:
    """A socket for that entry of `getaddrinfo`. Raises OSError where no connection may go there."""
    family, kind, protocol, _name, target = address
    try:
        check(target[0])  # type: ignore[index]
    except AddressRefused as error:
        raise PermissionError(str(error)) from error
    return socket.socket(family, kind, protocol)  # type: ignore[arg-type]
