"""What may be sent to a provider, by the limits that the administrator gave: counted here, over the last minute."""

import time
from collections import deque
from dataclasses import dataclass, field

from fleet.provider_access import ProviderAccess
from fleet.snapshot import RoutableReplica

_WINDOW_S = 60.0


@dataclass(slots=True)
class _Window:
    """Amounts of the last minute, and their sum."""

    entries: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0

    def add(self, amount: int, clock_s: float) -> None:
        self.entries.append((clock_s, amount))
        self.total += amount

    def total_at(self, clock_s: float) -> int:
        while self.entries and self.entries[0][0] <= clock_s - _WINDOW_S:
            self.total -= self.entries.popleft()[1]
        return self.total


@dataclass(slots=True)
class Throttle:
    """By the providers' ids. Tokens are known when an answer has ended: what is under way then may go beyond the limit
    once, and is waited for afterwards."""

    _requests: dict[int, _Window] = field(default_factory=dict)
    _tokens: dict[int, _Window] = field(default_factory=dict)

    def allows(self, replica: RoutableReplica, clock_s: float) -> bool:
        if replica.hosted is None:
            return True
        access = replica.hosted.access
        return _has_room(self._requests, access, access.max_requests_per_minute, clock_s) and _has_room(
            self._tokens, access, access.max_tokens_per_minute, clock_s
        )

    def sent(self, replica: RoutableReplica) -> None:
        """A request goes there."""
        if replica.hosted and replica.hosted.access.max_requests_per_minute:
            self._requests.setdefault(replica.hosted.access.provider_id, _Window()).add(1, time.monotonic())

    def used(self, replica: RoutableReplica, num_tokens: int) -> None:
        """One has ended, and has taken so many tokens of prompt and answer."""
        if num_tokens and replica.hosted and replica.hosted.access.max_tokens_per_minute:
            self._tokens.setdefault(replica.hosted.access.provider_id, _Window()).add(num_tokens, time.monotonic())


def _has_room(windows: dict[int, _Window], access: ProviderAccess, limit: int | None, clock_s: float) -> bool:
    window = windows.get(access.provider_id)
    return limit is None or window is None or window.total_at(clock_s) < limit
