"""Secrets at rest: a text field whose column holds ciphertext."""

import base64
import hashlib
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.db import models


class EncryptedTextField(models.TextField):
    """Text that is encrypted with settings.ENCRYPTION_KEY on its way into the database; null stays null."""

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else _cipher(settings.ENCRYPTION_KEY).encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        # None: the row is the missing side of an outer join.
        return value and _cipher(settings.ENCRYPTION_KEY).decrypt(value.encode()).decode()


@lru_cache(maxsize=4)
def _cipher(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()))
