"""Secret → caller, in memory. The snapshot is immutable; whoever wants a fresher one reads a new one."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.models import APIKey, KeyScope
from protocol.tokens import hash_token


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """On whose account a generation runs. A person in the chat has no key."""

    user_id: int | None
    user_name: str
    key_id: int | None
    key_name: str
    scopes: frozenset[str] = frozenset({KeyScope.INFERENCE.value})
    weight: int = 1
    """Of the owner's team, see accounts.models.Team."""

    @property
    def is_authenticated(self) -> bool:
        """What the REST framework's permissions ask of a user."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyringEntry:
    """A key that was usable when the snapshot was read."""

    caller: Caller
    expires_at: float | None
    """Seconds since the epoch: a key expires between two snapshots, too."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """All usable keys, by the hash of their secret."""

    entries: Mapping[str, KeyringEntry] = field(default_factory=dict)

    def caller(self, secret: str) -> Caller | None:
        """Who holds this secret; None if nobody does, or no longer."""
        entry = self.entries.get(hash_token(secret))
        if entry is None or (entry.expires_at is not None and entry.expires_at <= time.time()):
            return None
        return entry.caller


def read_keyring() -> Keyring:
    """The keys that are usable now: one query."""
    rows = APIKey.objects.usable().values_list(
        "key_hash",
        "expires_at",
        "scopes",
        "owner__team__weight",
        "owner_id",
        "owner__username",
        "pk",
        "name",
        named=False,
    )
    return Keyring({row[0]: _entry(*row[1:]) for row in rows.order_by()})


def _entry(expires_at: datetime | None, scopes: list[str], weight: int | None, *owner_and_key: object) -> KeyringEntry:
    names = ("user_id", "user_name", "key_id", "key_name")
    fields: dict[str, Any] = dict(zip(names, owner_and_key, strict=True))
    caller = Caller(**fields, scopes=frozenset(scopes), weight=weight or 1)
    return KeyringEntry(caller=caller, expires_at=expires_at.timestamp() if expires_at else None)
