"""When and from where keys were last used. From the journal's batches, so that no request waits for it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils.timezone import now

from gateway.models import APIKey
from gateway.usage import UsageEntry

_LONGEST_ADDRESS = 45
_PRECISION = timedelta(seconds=10)
"""A busy key's row is written no more often."""


def note_key_uses(entries: Sequence[UsageEntry]) -> None:
    """Of each key the latest, and the latest with its previous secret."""
    latest: dict[tuple[int, bool], UsageEntry] = {}
    for entry in entries:
        if entry.key_id is not None:
            of_key = (entry.key_id, entry.uses_previous_secret)
            latest[of_key] = max(latest.get(of_key, entry), entry, key=lambda entry: entry.created_at)
    for (key_id, is_previous), entry in latest.items():
        _write(key_id, entry.created_at, entry.address, uses_previous_secret=is_previous)


def note_key_use(key: APIKey, address: str, *, uses_previous_secret: bool) -> None:
    """Outside of the journal."""
    _write(key.pk, now(), address, uses_previous_secret=uses_previous_secret)


def _write(key_id: int, at: datetime, address: str, *, uses_previous_secret: bool) -> None:
    address = address.replace("\0", "")[:_LONGEST_ADDRESS]
    is_news = Q(last_used_at=None) | Q(last_used_at__lt=at - _PRECISION)
    APIKey.objects.filter(is_news, pk=key_id).update(last_used_at=at, last_used_from=address)
    if uses_previous_secret:
        is_news = Q(previous_used_at=None) | Q(previous_used_at__lt=at - _PRECISION)
        APIKey.objects.filter(is_news, pk=key_id).update(previous_used_at=at)
