"""The ready replicas of one model, laid out once for each snapshot so that picking one need not look at them all."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from fleet.models import BalancingPolicy
from fleet.snapshot import RoutableReplica
from protocol.control import ReplicaPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Replicas in the order of their ids, which lasts from one snapshot to the next."""

    model: str
    base: str
    """See ModelEntry."""
    policy: BalancingPolicy
    replicas: tuple[RoutableReplica, ...]
    ids: tuple[str, ...]
    num_places: int
    """Requests that all of them together take at a time."""
    num_reported: int
    """Requests that run or wait on all of them, by their workers' last heartbeats."""

    has_sleepers: bool
    """Some must wake before they answer."""
    capabilities_of_all: frozenset[str]
    """What every one of them can do."""

    @classmethod
    def of(cls, model: str, policy: BalancingPolicy, replicas: Iterable[RoutableReplica]) -> Self:
        ordered = tuple(sorted(replicas, key=lambda replica: replica.replica_id))
        abilities = [replica.capabilities for replica in ordered]
        return cls(
            model=model,
            base=ordered[0].base if ordered else model,
            policy=policy,
            replicas=ordered,
            ids=tuple(replica.replica_id for replica in ordered),
            num_places=sum(replica.max_concurrency for replica in ordered),
            num_reported=sum(replica.num_running + replica.num_waiting for replica in ordered),
            has_sleepers=any(replica.phase is not ReplicaPhase.READY for replica in ordered),
            capabilities_of_all=frozenset().union(*abilities).intersection(*abilities),
        )

    def replica(self, replica_id: str) -> RoutableReplica | None:
        place = bisect_left(self.ids, replica_id)
        return self.replicas[place] if self.ids[place : place + 1] == (replica_id,) else None
