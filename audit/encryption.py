"""Secrets at rest: encrypted with settings.ENCRYPTION_KEY, whichever package keeps them."""

import base64
import hashlib
from functools import lru_cache

from cryptography.fernet import Fernet
from django.conf import settings


def encrypt(text: str) -> str:
    return _cipher(settings.ENCRYPTION_KEY).encrypt(text.encode()).decode()


def decrypt(ciphertext: str) -> str:
    return _cipher(settings.ENCRYPTION_KEY).decrypt(ciphertext.encode()).decode()


@lru_cache(maxsize=4)
def _cipher(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()))
