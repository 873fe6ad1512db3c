"""Secret → caller, in memory. The snapshot is immutable; whoever wants a fresher one reads a new one."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from fleet.addresses import is_within
from gateway.errors import AddressRefused, InvalidAPIKey, ModelNotFound, PermissionDenied
from gateway.models import APIKey, KeyScope
from gateway.models.api_key import is_model_allowed
from protocol.tokens import hash_token

_PURPOSES = {
    KeyScope.INFERENCE: "calling models",
    KeyScope.USAGE: "reading its own usage",
    KeyScope.FLEET: "managing the fleet",
    KeyScope.RECEIPTS: "seeing which replica answered",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """On whose account a generation runs. A person in the chat has no key."""

    user_id: int | None
    user_name: str
    key_id: int | None
    key_name: str
    scopes: frozenset[str] = frozenset({KeyScope.INFERENCE.value})
    team_id: int | None = None
    """The key's own team, else its owner's."""
    weight: int = 1
    """Of that team, see accounts.models.Team."""
    allowed_models: Sequence[str] = ()
    """Patterns; empty: all."""
    uses_previous_secret: bool = False
    """The key is being rotated, and this program has not followed yet."""

    @property
    def is_authenticated(self) -> bool:
        """What the REST framework's permissions ask of a user."""
        return True

    def require(self, scope: KeyScope) -> None:
        """Raises PermissionDenied unless the key is good for that."""
        if scope not in self.scopes:
            raise PermissionDenied(f"This API key is not for {_PURPOSES[scope]}. Use one that is, or ask for it.")

    def may_name(self, model: str) -> bool:
        """Whether this caller may write that model's or route's name."""
        return is_model_allowed(model, self.allowed_models)

    def require_name(self, model: str) -> None:
        """Raises ModelNotFound unless this caller may write that name."""
        if not self.may_name(model):
            raise ModelNotFound(model)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyringEntry:
    """A secret that was good when the snapshot was read."""

    caller: Caller
    networks: Sequence[str]
    """From where it may be used; empty: from anywhere."""
    expires_at: float | None
    """Seconds since the epoch: a secret expires between two snapshots, too."""

    def admit(self, address: str) -> Caller:
        """Raises AddressRefused."""
        if self.networks and not is_within(address, self.networks):
            raise AddressRefused
        return self.caller


@dataclass(frozen=True, slots=True)
class Keyring:
    """All good secrets, by their hash."""

    entries: Mapping[str, KeyringEntry] = field(default_factory=dict)

    def entry(self, secret: str) -> KeyringEntry | None:
        """What this secret opens; None if nothing, or no longer."""
        return self._entry(hash_token(secret))

    def require(self, key_hash: str) -> KeyringEntry:
        """What the secret with that hash opens. Raises InvalidAPIKey."""
        entry = self._entry(key_hash)
        if entry is None:
            raise InvalidAPIKey(
                # OpenAI's first words: LiteLLM knows a bad key by them, whatever the status.
                "Incorrect API key provided: it is unknown, disabled, expired or revoked. "
                "Ask your administrator for a new one."
            )
        return entry

    def _entry(self, key_hash: str) -> KeyringEntry | None:
        entry = self.entries.get(key_hash)
        if entry is None or (entry.expires_at is not None and entry.expires_at <= time.time()):
            return None
        return entry


_COLUMNS = (
    "pk",
    "name",
    "key_hash",
    "expires_at",
    "previous_hash",
    "previous_expires_at",
    "scopes",
    "allowed_models",
    "networks",
    "team_id",
    "team__weight",
    "owner_id",
    "owner__username",
    "owner__team_id",
    "owner__team__weight",
)


def read_keyring() -> Keyring:
    """The keys that are usable now: one query."""
    rows = APIKey.objects.usable().order_by().values(*_COLUMNS)
    return Keyring({key_hash: entry for row in rows for key_hash, entry in _entries(row)})


def read_entry(key: APIKey) -> KeyringEntry:
    """What the key would open if it were usable, which it may not be."""
    row = APIKey.objects.filter(pk=key.pk).order_by().values(*_COLUMNS).get()
    _, entry = next(_entries(row))
    return entry


def _entries(row: Mapping[str, Any]) -> Iterator[tuple[str, KeyringEntry]]:
    """One for each secret of the key."""
    caller = _caller(row)
    entry = KeyringEntry(caller=caller, networks=row["networks"], expires_at=_earliest(row["expires_at"]))
    yield row["key_hash"], entry
    if row["previous_hash"]:
        until = _earliest(row["expires_at"], row["previous_expires_at"])
        yield row["previous_hash"], replace(entry, caller=replace(caller, uses_previous_secret=True), expires_at=until)


def _caller(row: Mapping[str, Any]) -> Caller:
    of = "team" if row["team_id"] else "owner__team"
    return Caller(
        user_id=row["owner_id"],
        user_name=row["owner__username"],
        key_id=row["pk"],
        key_name=row["name"],
        scopes=frozenset(row["scopes"]),
        team_id=row[f"{of}_id"],
        weight=row[f"{of}__weight"] or 1,
        allowed_models=tuple(row["allowed_models"]),
    )


def _earliest(*moments: datetime | None) -> float | None:
    return min((moment.timestamp() for moment in moments if moment), default=None)
