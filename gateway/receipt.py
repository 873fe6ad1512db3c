"""How an answer came about, up to its first byte."""

from dataclasses import dataclass
from urllib.parse import quote

from fleet.snapshot import RoutableReplica


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Who answered, how it was chosen, and where the time went."""

    replica: RoutableReplica
    policy: str
    num_attempts: int
    queued_s: float
    routed_s: float
    """Choosing replicas, and asking those that gave nothing."""
    upstream_s: float
    """From asking this one to its first token; to the end, where the answer is whole."""

    @property
    def durations_s(self) -> dict[str, float]:
        return {"queue": self.queued_s, "route": self.routed_s, "upstream": self.upstream_s}

    def worded(self) -> str:
        """For a header: `worker=gpu-1; replica=…; policy=least_load; tries=1`."""
        replica = self.replica
        return (
            f"worker={quote(replica.worker_name)}; replica={replica.replica_id}; policy={self.policy}; "
            f"tries={self.num_attempts}"
        )


def server_timing(durations_s: dict[str, float]) -> str:
    """The header that browsers' tools draw: `auth;dur=0.12, queue;dur=0.00`, in milliseconds."""
    return ", ".join(f"{name};dur={duration_s * 1000:.2f}" for name, duration_s in durations_s.items())
