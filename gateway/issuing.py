"""API keys begin, change their secret, pause and end here."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils.timezone import now

from accounts.models import User
from gateway.models import APIKey, KeyScope
from gateway.models.api_key import usual_scopes
from protocol.tokens import TokenKind, hash_token, make_token, token_hint


def may_have_secret(actor: User, owner: User, scopes: Sequence[str]) -> bool:
    """Whether somebody who governs keys may come to know the secret of this one: a key that manages the fleet may do
    what its owner may do, so that it would lend them the owner's rights."""
    return KeyScope.FLEET not in scopes or actor == owner or actor.is_superuser


def issue_key(
    owner: User,
    name: str,
    expires_at: datetime | None = None,
    *,
    scopes: Sequence[str] | None = None,
    **terms: Any,
) -> tuple[APIKey, str]:
    """A new key and its text, which is never to be had again. `scopes` None: the usual ones. `terms`: more of its
    fields, checked already."""
    text = make_token(TokenKind.API_KEY)
    key = APIKey.objects.create(
        owner=owner,
        name=name,
        scopes=usual_scopes() if scopes is None else [str(scope) for scope in scopes],
        expires_at=expires_at,
        key_hash=hash_token(text),
        hint=token_hint(text),
        **terms,
    )
    return key, text


def rotate_key(key: APIKey, grace: timedelta) -> str | None:
    """Another secret, which is never to be had again; the one until now stays good for so long, beside it.

    None where the key was revoked, or rotated by somebody else, in the meantime. A secret before that ends at once:
    there are two at most.
    """
    text = make_token(TokenKind.API_KEY)
    before = APIKey.objects.filter(pk=key.pk, key_hash=key.key_hash, revoked_at=None)
    has_changed = before.update(
        key_hash=hash_token(text),
        hint=token_hint(text),
        previous_hash=key.key_hash,
        previous_hint=key.hint,
        previous_expires_at=now() + grace,
        previous_used_at=None,
    )
    return text if has_changed else None


def change_limits(key: APIKey, limits: Mapping[str, Any]) -> bool:
    """`limits`: those that change, by their columns. False if nothing was to be changed, or the key was revoked."""
    rows = APIKey.objects.filter(pk=key.pk, revoked_at=None)
    return bool(limits) and rows.update(**limits) == 1


def end_rotation(key: APIKey) -> bool:
    """Let the previous secret open nothing any more. False if it did not."""
    rotating = APIKey.objects.filter(pk=key.pk, previous_expires_at__gt=now()).exclude(previous_hash=None)
    return rotating.update(previous_hash=None, previous_hint="", previous_expires_at=None) == 1


def disable_key(key: APIKey) -> bool:
    """Put the key out of force until it is enabled again. False if it was already."""
    return APIKey.objects.filter(pk=key.pk, disabled_at=None, revoked_at=None).update(disabled_at=now()) == 1


def enable_key(key: APIKey) -> bool:
    return APIKey.objects.filter(pk=key.pk, revoked_at=None).exclude(disabled_at=None).update(disabled_at=None) == 1


def revoke_key(key: APIKey) -> bool:
    """Put the key out of force, for good. False if it was already."""
    return APIKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now()) == 1
