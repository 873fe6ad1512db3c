"""Replicas as a snapshot has them, made up."""

from dataclasses import replace
from datetime import UTC, datetime

from django.utils.timezone import now

from fleet.models import BalancingPolicy
from fleet.provider_access import HostedModel, ProviderAccess
from fleet.provider_presets import Dialect
from fleet.snapshot import RoutableReplica
from gateway.pool import Pool

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACCESS = ProviderAccess(
    provider_id=1, name="cloud", dialect=Dialect.OPENAI, base_url="https://x/v1", query="", headers={}, credential="",
    ca_certificate="", can_ask_for_usage=True, max_requests_per_minute=2, max_tokens_per_minute=100,
)  # fmt: skip


def make_replica(name: str, *, running: int = 0, room: int = 8, **fields) -> RoutableReplica:
    values = {
        "model": "m",
        "base": "m",
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


def make_hosted(name: str = "r", **fields) -> RoutableReplica:
    """With a provider, which by its limits takes 2 requests and 100 tokens a minute."""
    return make_replica(name, hosted=HostedModel(access=replace(ACCESS, **fields), name="m", max_output_tokens=1))


def make_pool(*replicas: RoutableReplica, policy: BalancingPolicy = BalancingPolicy.LEAST_LOAD) -> Pool:
    return Pool.of("m", policy, replicas)


def make_crowd(num: int, **fields) -> list[RoutableReplica]:
    return [make_replica(f"r{number}", **fields) for number in range(num)]
