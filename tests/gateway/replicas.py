"""Replicas as a snapshot has them, made up."""

from datetime import UTC, datetime

from django.utils.timezone import now

from fleet.models import BalancingPolicy
from fleet.snapshot import RoutableReplica
from gateway.pool import Pool

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_replica(name: str, *, running: int = 0, room: int = 8, **fields) -> RoutableReplica:
    values = {
        "model": "m",
        "worker_id": name,
        "worker_name": name,
        "url": "http://127.0.0.1:1",
        "host_header": "127.0.0.1:1",
        "secret": "",
        "num_waiting": 0,
        "context_length": None,
        "capabilities": frozenset({"chat"}),
        "observed_at": now(),
        "speed": None,
    } | fields
    return RoutableReplica(replica_id=name, num_running=running, max_concurrency=room, **values)


def make_pool(*replicas: RoutableReplica, policy: BalancingPolicy = BalancingPolicy.LEAST_LOAD) -> Pool:
    return Pool.of("m", policy, replicas)


def make_crowd(num: int, **fields) -> list[RoutableReplica]:
    return [make_replica(f"r{number}", **fields) for number in range(num)]
