"""Where all web processes keep what was used of limits: Redis, else the database. Sync, for a thread of its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import redis
from django.conf import settings
from django.db import transaction

from gateway.limits import Entries
from gateway.models import Allowance

Change = Callable[[Entries], Entries]
"""May be called several times for one change; only what it gave last counts."""

_TIMEOUT_S = 1.0
_PREFIX = "flotilla:allowance:"
_ENTRIES = msgspec.json.Decoder(dict[str, tuple[float, float]])


class Store(Protocol):
    """Entries by bucket. Whatever goes wrong is raised, and means that nothing was changed."""

    def change(self, bucket: str, change: Change) -> None:
        """Atomic: nobody else's change comes between what this one saw and what it left."""

    def read(self, buckets: Sequence[str]) -> Mapping[str, Entries]:
        """Those that there are."""


class MemoryStore:
    """For one process: while nothing else can be reached, and in tests."""

    def __init__(self) -> None:
        self._entries: dict[str, Entries] = {}

    def change(self, bucket: str, change: Change) -> None:
        self._entries[bucket] = change(self._entries.get(bucket, {}))

    def read(self, buckets: Sequence[str]) -> Mapping[str, Entries]:
        return {bucket: self._entries[bucket] for bucket in buckets if bucket in self._entries}


class DatabaseStore:
    """A row for each bucket, locked while it is changed."""

    def change(self, bucket: str, change: Change) -> None:
        with transaction.atomic():
            Allowance.objects.get_or_create(bucket=bucket)
            row = Allowance.objects.select_for_update().get(bucket=bucket)
            entries = change(row.entries)
            expires_at = max((until for _, until in entries.values()), default=0.0)
            Allowance.objects.filter(bucket=bucket).update(entries=dict(entries), expires_at=expires_at)

    def read(self, buckets: Sequence[str]) -> Mapping[str, Entries]:
        return dict(Allowance.objects.filter(bucket__in=buckets).values_list("bucket", "entries"))


class RedisStore:
    """A value for each bucket, that goes when its last entry counts no longer."""

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)

    def change(self, bucket: str, change: Change) -> None:
        key = _PREFIX + bucket

        def write(pipe: Any) -> None:
            entries = change(_decoded(pipe.get(key)))
            pipe.multi()
            if entries:
                pipe.set(key, msgspec.json.encode(entries))
                pipe.expireat(key, int(max(until for _, until in entries.values())) + 1)
            else:
                pipe.delete(key)

        # Watches the value, and does it again where somebody else was quicker.
        self._client.transaction(write, key)

    def read(self, buckets: Sequence[str]) -> Mapping[str, Entries]:
        values = self._client.mget([_PREFIX + bucket for bucket in buckets]) if buckets else []
        return {bucket: _decoded(value) for bucket, value in zip(buckets, values, strict=True) if value}


def shared_store() -> Store:
    return RedisStore(settings.REDIS_URL) if settings.REDIS_URL else DatabaseStore()


def _decoded(value: bytes | None) -> Entries:
    return _ENTRIES.decode(value) if value else {}
