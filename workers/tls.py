"""TLS on both sides of the daemon: whom it takes for the server, and what it shows to the gateway."""

import hashlib
import re
import ssl
from pathlib import Path

from workers.errors import SettingsInvalid

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def trusting(ca_file: str) -> ssl.SSLContext | bool:
    """aiohttp's `ssl` towards the server: only who `ca_file` vouches for; the system's CAs where there is none.

    Raises SettingsInvalid.
    """
    try:
        return ssl.create_default_context(cafile=ca_file) if ca_file else True
    except OSError as error:
        raise SettingsInvalid(
            f"--ca-file {ca_file} cannot be used: {error}. It must hold certificates in PEM."
        ) from error


def showing(certificate: str, key: str) -> ssl.SSLContext | None:
    """For the daemon's own door; None: without TLS. Raises SettingsInvalid."""
    if bool(certificate) != bool(key):
        raise SettingsInvalid("--tls-cert and --tls-key belong together: give both, or neither.")
    if not certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise SettingsInvalid(f"--tls-cert {certificate} and --tls-key {key} cannot be used: {error}.") from error
    return context


def fingerprint(certificate: str) -> str:
    """SHA-256 of the certificate in this file, the first one, in hex; empty without a file. Raises SettingsInvalid."""
    if not certificate:
        return ""
    try:
        found = _CERTIFICATE.search(Path(certificate).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"--tls-cert {certificate} cannot be read: {error}.") from error
    if found is None:
        raise SettingsInvalid(f"--tls-cert {certificate} holds no certificate in PEM.")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest()
