"""Which replicas are left out for a while, because they could not be reached or failed again and again."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from fleet.snapshot import RoutableReplica

FAILURES_TO_OPEN = 3
"""In a row. One failure may be the request's own fault, and must not shut others out."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _FORGOTTEN_AFTER_S = 1.0, 30.0, 600.0


class BreakerState(StrEnum):
    """What the breaker thinks of one replica; see Breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(slots=True)
class Trouble:
    """What is held against one replica. Times are by the monotonic clock, in seconds."""

    replica: RoutableReplica
    began_at_s: float
    failed_at_s: float
    num_failures: int = 0
    is_unreachable: bool = False
    """Nobody answers there; else it answers, but badly."""
    pause_s: float = 0.0
    """0 while closed."""
    until_s: float = 0.0
    trial_until_s: float = 0.0
    """While a single request finds out whether it is well again, others go elsewhere; but not for ever."""


@dataclass(slots=True)
class Breaker:
    """Moves requests away from replicas in trouble. What nobody else could do is still asked of one that fails.

    CLOSED ── unreachable, or 3 failures in a row ──▶ OPEN ── pause over ──▶ HALF_OPEN ── well ──▶ CLOSED
                                                       ▲                        │  one request at a time
                                                       └── failed: twice as long ┘
    A background probe that finds an unreachable one answering closes it at once; one that does not, keeps it open.
    """

    troubles: dict[str, Trouble] = field(default_factory=dict)

    def allows(self, replica: RoutableReplica, clock_s: float) -> bool:
        trouble = self.troubles.get(replica.replica_id)
        if trouble is None or not trouble.pause_s or replica.url != trouble.replica.url:
            return True
        return clock_s >= max(trouble.until_s, trouble.trial_until_s)

    def is_unreachable(self, replica: RoutableReplica) -> bool:
        trouble = self.troubles.get(replica.replica_id)
        return trouble is not None and trouble.is_unreachable and replica.url == trouble.replica.url

    def is_lost(self, replica: RoutableReplica, before_s: float) -> bool:
        """Whether it has been unreachable since before that moment."""
        return self.is_unreachable(replica) and self.troubles[replica.replica_id].began_at_s < before_s

    def state(self, replica: RoutableReplica, clock_s: float) -> BreakerState:
        trouble = self.troubles.get(replica.replica_id)
        if trouble is None or not trouble.pause_s:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if clock_s >= trouble.until_s else BreakerState.OPEN

    def begin(self, replica: RoutableReplica, clock_s: float) -> bool:
        """A request goes there; whether it is the one on trial."""
        trouble = self.troubles.get(replica.replica_id)
        if trouble is None or not trouble.pause_s or clock_s < max(trouble.until_s, trouble.trial_until_s):
            return False
        trouble.trial_until_s = clock_s + _LONGEST_PAUSE_S
        return True

    def end_trial(self, replica: RoutableReplica) -> None:
        """The request on trial is over; if nobody said how it went, the next one is on trial."""
        if trouble := self.troubles.get(replica.replica_id):
            trouble.trial_until_s = 0.0

    def connected(self, replica: RoutableReplica) -> None:
        """It can be reached, whatever it will answer."""
        if self.is_unreachable(replica):
            del self.troubles[replica.replica_id]

    def succeeded(self, replica: RoutableReplica) -> None:
        """It answered as it should."""
        self.troubles.pop(replica.replica_id, None)

    def failed(self, replica: RoutableReplica, clock_s: float, *, is_unreachable: bool) -> None:
        self._forget_old(clock_s)
        trouble = self.troubles.get(replica.replica_id) or Trouble(replica, clock_s, clock_s)
        self.troubles[replica.replica_id] = trouble
        trouble.replica, trouble.failed_at_s = replica, clock_s
        trouble.num_failures, trouble.is_unreachable = trouble.num_failures + 1, is_unreachable
        # Requests that were under way together fail together: only what failed after the pause makes it longer.
        if (is_unreachable or trouble.num_failures >= FAILURES_TO_OPEN) and clock_s >= trouble.until_s:
            trouble.pause_s = min(2 * trouble.pause_s or _FIRST_PAUSE_S, _LONGEST_PAUSE_S)
            trouble.until_s, trouble.trial_until_s = clock_s + trouble.pause_s, 0.0

    def still_down(self, trouble: Trouble, clock_s: float) -> None:
        """A probe found it no better: no request need find out."""
        trouble.until_s = max(trouble.until_s, clock_s + _FIRST_PAUSE_S + trouble.pause_s)

    @property
    def num_open(self) -> int:
        """May be asked from any thread."""
        return sum(trouble.pause_s > 0 for trouble in list(self.troubles.values()))

    def open_ones(self, clock_s: float) -> Iterator[Trouble]:
        """To be probed. Providers have no page for it: there, a request finds out."""
        self._forget_old(clock_s)
        return (trouble for trouble in list(self.troubles.values()) if trouble.pause_s and not trouble.replica.hosted)

    def _forget_old(self, clock_s: float) -> None:
        """Replicas come and go; those that are gone are never tried again, and must not be remembered for ever."""
        old = [name for name, trouble in self.troubles.items() if clock_s > trouble.failed_at_s + _FORGOTTEN_AFTER_S]
        for name in old:
            del self.troubles[name]
