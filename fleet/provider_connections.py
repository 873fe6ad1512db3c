"""HTTP clients for providers. Whoever asks must not follow redirects."""

import ssl
from functools import lru_cache, partial

import aiohttp

from fleet.guarded_connections import guarded_session
from fleet.provider_access import ProviderAccess
from fleet.provider_addresses import check_ip


def new_session(*, is_encrypted: bool, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    return guarded_session(check=partial(check_ip, is_encrypted=is_encrypted), timeout=timeout)


def tls_of(access: ProviderAccess) -> ssl.SSLContext | bool:
    """Whose certificates count there; True: the public ones'. Raises ssl.SSLError for what is no certificate."""
    return _trusting(access.ca_certificate) if access.ca_certificate else True


@lru_cache(maxsize=64)
def _trusting(ca_certificate: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca_certificate)
