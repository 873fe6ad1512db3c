"""The way from the event loop to what all processes keep of limits, in a thread of its own, one change after another.

While the store is away each process holds the limits alone, by what it knows itself: a database that is away stops no
request.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

from gateway.allowances import Change, MemoryStore, Store
from gateway.limits import Balance, Entries, Limit, balance

logger = logging.getLogger(__name__)

_AWAY_FOR_S = 5.0

_T = TypeVar("_T")


class LimitStore:
    """`seed`: what was used of a budget before anybody counted, by the usage records; called in the thread."""

    def __init__(self, store: Store, seed: Callable[[Limit], float]) -> None:
        self._store = store
        self._alone = MemoryStore()
        self._seed = seed
        self._is_away_until_s = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gateway-limits")

    def seed(self, limit: Limit) -> float:
        return 0.0 if self._is_away() else self._seed(limit)

    async def change(self, bucket: str, change: Change) -> None:
        await asyncio.wrap_future(self._thread.submit(self._change, bucket, change))

    def change_soon(self, bucket: str, change: Change) -> None:
        self._thread.submit(self._change, bucket, change)

    async def balances(self, limits: Sequence[Limit]) -> list[Balance]:
        """How much of each is used, by all processes; by this one, while the store is away."""
        return await asyncio.wrap_future(self._thread.submit(self._balances, limits))

    async def close(self) -> None:
        """When this returns everything has been changed, and the thread has ended."""
        self._thread.submit(connections.close_all)
        await asyncio.to_thread(self._thread.shutdown)

    def _change(self, bucket: str, change: Change) -> None:
        if not self._is_away():
            try:
                _connected(lambda: self._store.change(bucket, change))
                return
            except Exception:
                self._note_away()
        self._alone.change(bucket, change)

    def _balances(self, limits: Sequence[Limit]) -> list[Balance]:
        found = self._read([limit.bucket for limit in limits])
        # What nobody has counted is asked of the records, in the database.
        return _connected(
            lambda: [balance(limit, found.get(limit.bucket, {}), time.time(), self.seed) for limit in limits]
        )

    def _read(self, buckets: Sequence[str]) -> Mapping[str, Entries]:
        if not self._is_away():
            try:
                return _connected(lambda: self._store.read(buckets))
            except Exception:
                self._note_away()
        return self._alone.read(buckets)

    def _note_away(self) -> None:
        logger.exception("Limits cannot be shared with the other web processes; each holds them alone")
        self._is_away_until_s = time.monotonic() + _AWAY_FOR_S

    def _is_away(self) -> bool:
        return time.monotonic() < self._is_away_until_s


def _connected(act: Callable[[], _T]) -> _T:
    """The thread keeps its connection: a new one costs as much as ten changes. One that failed is not used again."""
    try:
        return act()
    except Exception:
        connections.close_all()
        raise
