"""HTTP clients for providers. Names are resolved for each connection, and its address is judged before it is made;
cookies are not kept, bodies not decompressed. Whoever asks must not follow redirects."""

import ssl
from functools import lru_cache, partial

import aiohttp

from fleet.provider_access import ProviderAccess
from fleet.provider_addresses import guarded_socket


def new_session(*, is_encrypted: bool, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, socket_factory=partial(guarded_socket, is_encrypted=is_encrypted)),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=timeout,
    )


def tls_of(access: ProviderAccess) -> ssl.SSLContext | bool:
    """Whose certificates count there; True: the public ones'. Raises ssl.SSLError for what is no certificate."""
    return _trusting(access.ca_certificate) if access.ca_certificate else True


@lru_cache(maxsize=64)
def _trusting(ca_certificate: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca_certificate)
