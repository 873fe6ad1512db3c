"""Rule: which TLS certificate a worker must show to whoever calls it."""

from functools import lru_cache
from urllib.parse import urlsplit

import aiohttp


@lru_cache(maxsize=4096)
def trusted(certificate_sha256: str) -> aiohttp.Fingerprint | bool:
    """aiohttp's `ssl`: the pinned certificate and no other, or what the system trusts.

    Kept, since connections are pooled by it, and two fingerprints are never equal.
    """
    return aiohttp.Fingerprint(bytes.fromhex(certificate_sha256)) if certificate_sha256 else True


def server_name(url: str, host: str) -> str | None:
    """Whom the certificate must be for: the name in `host`, as the connection itself goes to the pinned address."""
    return urlsplit(f"//{host}").hostname if url.startswith("https:") else None
