"""API keys begin and end here."""

from collections.abc import Sequence
from datetime import datetime

from django.utils.timezone import now

from accounts.models import User
from gateway.models import APIKey, KeyScope
from protocol.tokens import TokenKind, hash_token, make_token, token_hint


def issue_key(
    owner: User, name: str, expires_at: datetime | None = None, *, scopes: Sequence[str] = (KeyScope.INFERENCE,)
) -> tuple[APIKey, str]:
    """A new key and its text, which is never to be had again."""
    text = make_token(TokenKind.API_KEY)
    key = APIKey.objects.create(
        owner=owner,
        name=name,
        scopes=[str(scope) for scope in scopes],
        expires_at=expires_at,
        key_hash=hash_token(text),
        hint=token_hint(text),
    )
    return key, text


def revoke_key(key: APIKey) -> bool:
    """Put the key out of force, for good. False if it was already."""
    return APIKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now()) == 1
