"""Calling a worker at its address: pinned, with the secret that it handed over, and what it means when that fails."""

from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

import aiohttp

from fleet.addresses import pinned_url
from fleet.models import ProbeFailure, Worker
from fleet.trust import server_name, trusted


def ask(
    session: aiohttp.ClientSession, worker: Worker, request: tuple[str, str], *, timeout_s: float, **query: str
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """`request`: method and path. No redirect is followed: it could carry the secret to a stranger."""
    method, path = request
    host = urlsplit(worker.address).netloc
    return session.request(
        method,
        f"{pinned_url(worker.address, worker.pinned_ip)}{path}",
        params=query,
        headers={"Authorization": f"Bearer {worker.gateway_secret}", "Host": host, "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        allow_redirects=False,
        ssl=trusted(worker.certificate_sha256),
        server_hostname=server_name(worker.address, host),
    )


def failure_of(error: Exception) -> ProbeFailure:
    """What was met, of an aiohttp.ClientError or OSError."""
    match error:
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return ProbeFailure.UNTRUSTED
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return ProbeFailure.REFUSED
        case aiohttp.ClientConnectorError() | TimeoutError():
            return ProbeFailure.NO_ANSWER
    return ProbeFailure.STRANGER
