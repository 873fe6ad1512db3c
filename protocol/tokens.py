"""Secrets that people and machines hold: made here, hashed here, recognised here (by scanners and our own redaction).

A token is `<prefix><43 random characters><6 characters of checksum>`. The checksum lets a scanner, or the gateway
before it looks anything up, tell a token from text that merely looks like one.
"""

import hashlib
import re
import secrets
import zlib
from enum import StrEnum

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY_LENGTH, _CHECKSUM_LENGTH = 43, 6


class TokenKind(StrEnum):
    """What a token opens; the value is its prefix."""

    API_KEY = "sk-flt-"
    JOIN_TOKEN = "flt-join-"
    WORKER_CREDENTIAL = "flt-worker-"
    GATEWAY_SECRET = "flt-gateway-"
    INVITATION = "flt-invite-"


TOKEN_PATTERN = re.compile(rf"(?:{'|'.join(TokenKind)})[0-9A-Za-z_-]+")
"""Anything in a text that could be one of our tokens, cut or mistyped ones included."""


def make_token(kind: TokenKind) -> str:
    """A new token: 256 bits of randomness."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_BODY_LENGTH))
    return f"{kind}{body}{_checksum(kind + body)}"


def is_well_formed(token: str, kind: TokenKind) -> bool:
    """Whether this is the shape of a token of that kind, checksum included; says nothing of its being valid."""
    body = token.removeprefix(kind)
    if body == token or len(body) != _BODY_LENGTH + _CHECKSUM_LENGTH or not body.isascii():
        return False
    return _checksum(token[:-_CHECKSUM_LENGTH]) == token[-_CHECKSUM_LENGTH:]


def hash_token(token: str) -> str:
    """What is stored for a token: SHA-256, in hex. Enough for 256 random bits; no salt, so it can be looked up."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def token_hint(token: str) -> str:
    """Enough of a token for its owner to tell it from others, too little to use it."""
    kind = next((kind for kind in TokenKind if token.startswith(kind)), "")
    return f"{token[: len(kind) + 4]}…{token[-4:]}"


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
