"""Secrets at rest: a text field whose column holds ciphertext."""

from typing import Any

from django.db import models

from audit.encryption import decrypt, encrypt


class EncryptedTextField(models.TextField):
    """Text that is encrypted with settings.ENCRYPTION_KEY on its way into the database; null stays null."""

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else encrypt(str(value))

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        # None: the row is the missing side of an outer join.
        return value and decrypt(value)
