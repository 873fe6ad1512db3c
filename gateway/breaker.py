"""Which replicas are left out for a while, because they could not be reached."""

from dataclasses import dataclass, field
from datetime import datetime

from fleet.snapshot import RoutableReplica

_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _FORGOTTEN_AFTER_S = 1.0, 30.0, 600.0


@dataclass(slots=True)
class _Outage:
    since: datetime
    pause_s: float
    until: float


@dataclass(slots=True)
class Breaker:
    """Leaves out replicas that could not be connected to.

    closed ── connection failed ──▶ open ── pause over, or a newer heartbeat ──▶ tried again ── connected ──▶ closed
                                     ▲                                                │
                                     └───────────── failed: a pause twice as long ────┘
    """

    outages: dict[str, _Outage] = field(default_factory=dict)

    def allows(self, replica: RoutableReplica, clock_s: float) -> bool:
        outage = self.outages.get(replica.replica_id)
        return outage is None or clock_s >= outage.until or replica.observed_at > outage.since

    def failed(self, replica: RoutableReplica, clock_s: float, now: datetime) -> None:
        before = self.outages.get(replica.replica_id)
        pause = min(2 * before.pause_s, _LONGEST_PAUSE_S) if before else _FIRST_PAUSE_S
        self._forget_old(clock_s)
        self.outages[replica.replica_id] = _Outage(since=now, pause_s=pause, until=clock_s + pause)

    def connected(self, replica: RoutableReplica) -> None:
        self.outages.pop(replica.replica_id, None)

    def _forget_old(self, clock_s: float) -> None:
        """Replicas come and go; those that are gone are never tried again, and must not be remembered for ever."""
        self.outages = {
            replica_id: outage
            for replica_id, outage in self.outages.items()
            if clock_s < outage.until + _FORGOTTEN_AFTER_S
        }
