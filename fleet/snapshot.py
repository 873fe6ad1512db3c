"""What the data plane must know of the fleet, immutable and whole: five queries, whatever the size."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db.models import Q

from fleet.addresses import pinned_url
from fleet.models import BalancingPolicy, Deployment, LanguageModel, ProviderModel, Replica, Worker
from fleet.pricing import Price, dearest, price_in
from fleet.provider_access import HostedModel, access_to
from protocol.control import ANSWERING, ReplicaPhase
from protocol.engines import MODELSCOPE

_HUB_ID = re.compile(r"(\w[\w.-]*)/[\w.-]+")
_ON_THEIR_WAY = (ReplicaPhase.PENDING, ReplicaPhase.LOADING)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutableReplica:
    """A replica that answers requests, and all that is needed to send it one; on a worker, or with a provider."""

    replica_id: str
    model: str
    base: str
    """See ModelEntry: the same under the names of all its adapters."""
    worker_id: str
    worker_name: str
    url: str
    """scheme://IP:port of the pinned address; IPv6 in brackets."""
    host_header: str
    """Host and port as the worker advertised them."""
    certificate_sha256: str = ""
    """Of the one TLS certificate that it may show; empty: any that the system trusts."""
    secret: str
    """What the worker wants to see in the Authorization header."""
    num_running: int
    num_waiting: int
    max_concurrency: int
    context_length: int | None
    capabilities: frozenset[str]
    observed_at: datetime
    phase: ReplicaPhase = ReplicaPhase.READY
    """One of ANSWERING: who sleeps answers when it has been woken."""
    speed: float | None
    """As the administrator gave it, in proportion to the model's other replicas."""
    price: Price | None = None
    """None: not known."""
    hosted: HostedModel | None = None
    """With a provider: then `worker_name` is the provider's, its base URL is `url`, and nobody reports for it, so
    `observed_at` is the time of the administrator's last change and says nothing of its being there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model that is deployed or that a provider offers, as callers may see it; without capabilities while no replica
    is ready."""

    name: str
    base: str
    """The model whose replicas answer, and whose policies and limits hold: of an adapter, that on which it rides."""
    created_at: datetime
    description: str
    owner: str
    """The provider, or the organisation whose it is at the hub; empty: not known, or several."""
    capabilities: frozenset[str]
    context_length: int | None
    """Of the replica with the shortest: any of them may answer."""
    price: Price | None
    """That of the dearest; the model's own counts before any replica is ready."""
    balancing_policy: BalancingPolicy
    only_by_route: bool
    """Callers may not name it."""
    is_expected: bool
    """A replica is on its way: wanted, and loading or about to on a worker that is there."""
    max_concurrency: int | None
    max_queue_length: int | None
    max_queue_wait_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSnapshot:
    """Both keyed by the model's name; a model without an entry in `replicas` has none that is ready."""

    models: Mapping[str, ModelEntry]
    replicas: Mapping[str, tuple[RoutableReplica, ...]]


def read_fleet_snapshot() -> FleetSnapshot:
    """The fleet at this moment. Workers that are silent, draining or revoked are left out with all they run."""
    workers = {worker.pk: worker for worker in Worker.objects.alive().filter(is_draining=False)}
    rows = Replica.objects.desired().filter(phase__in=[*_ON_THEIR_WAY, *ANSWERING])
    expected: set[str] = set()
    owners: defaultdict[str, set[str]] = defaultdict(set)
    replicas: defaultdict[str, list[RoutableReplica]] = defaultdict(list)
    out_of_reach: defaultdict[str, list[RoutableReplica]] = defaultdict(list)
    for row in rows.select_related("deployment__model"):
        owners[row.deployment.model.name].add(_organisation(row.deployment.source))
        worker = workers.get(row.worker_id)
        if worker and row.phase in _ON_THEIR_WAY:
            expected.add(row.deployment.model.name)
        elif worker:
            found = out_of_reach if worker.is_unreachable else replicas
            for routable in _routables(row, worker):
                found[routable.model].append(routable)
    hosted = ProviderModel.objects.enabled().select_related("provider", "model")
    for offer in hosted:
        owners[offer.model.name].add(offer.provider.name)
        replicas[offer.model.name].append(_hosted(offer))
    # The probe may have failed for reasons of its own, so what it holds against the last replica counts for nothing.
    replicas = defaultdict(list, out_of_reach | replicas)
    is_offered = Q(deployments__isnull=False) | Q(provider_models__in=hosted.values("pk"))
    models = LanguageModel.objects.filter(is_offered).distinct()
    entries = {
        model.name: _entry(model, replicas.get(model.name, ()), model.name in expected, owners[model.name])
        for model in models
    }
    return FleetSnapshot(
        models=entries | dict(_adapters(entries, replicas)),
        replicas={name: tuple(rows) for name, rows in replicas.items()},
    )


def _routables(row: Replica, worker: Worker) -> Iterator[RoutableReplica]:
    """As its model's, and as that of each adapter that answers there."""
    routable = _routable(row, worker)
    yield routable
    for name, error in row.adapters.items():
        if not error and name in row.deployment.adapters:
            yield replace(routable, model=name)


def _adapters(
    entries: Mapping[str, ModelEntry], replicas: Mapping[str, Sequence[RoutableReplica]]
) -> Iterator[tuple[str, ModelEntry]]:
    """Adapters are what their base models are, under names of their own."""
    for base, listed in Deployment.objects.exclude(adapters={}).values_list("model__name", "adapters"):
        # A deployment that was made since the models were read comes with the next reading.
        for name in listed if base in entries else ():
            capabilities = frozenset().union(*(replica.capabilities for replica in replicas.get(name, ())))
            yield name, replace(entries[base], name=name, capabilities=capabilities)


def _routable(row: Replica, worker: Worker) -> RoutableReplica:
    return RoutableReplica(
        replica_id=str(row.pk),
        model=row.deployment.model.name,
        base=row.deployment.model.name,
        num_running=row.num_running,
        num_waiting=row.num_waiting,
        max_concurrency=row.spec["max_concurrency"],
        context_length=row.context_length,
        capabilities=frozenset(row.capabilities),
        observed_at=row.observed_at or row.created_at,
        phase=ReplicaPhase(row.phase),
        speed=row.deployment.speed,
        price=price_in(row.deployment.model),
        **_reachable(worker),
    )


def _reachable(worker: Worker) -> dict[str, Any]:
    return {
        "worker_id": str(worker.pk),
        "worker_name": worker.name,
        "url": pinned_url(worker.address, worker.pinned_ip),
        "host_header": urlsplit(worker.address).netloc,
        "certificate_sha256": worker.certificate_sha256,
        "secret": worker.gateway_secret,
    }


def _hosted(offer: ProviderModel) -> RoutableReplica:
    access = access_to(offer.provider)
    return RoutableReplica(
        replica_id=str(offer.pk),
        model=offer.model.name,
        base=offer.model.name,
        worker_id="",
        worker_name=offer.provider.name,
        url=access.base_url,
        host_header=urlsplit(access.base_url).netloc,
        secret="",
        num_running=0,
        num_waiting=0,
        max_concurrency=offer.max_concurrency,
        context_length=offer.context_length,
        capabilities=frozenset(offer.capabilities),
        observed_at=max(offer.changed_at, offer.provider.changed_at),
        speed=None,
        price=price_in(offer.model, offer),
        hosted=HostedModel(access=access, name=offer.upstream_name, max_output_tokens=offer.max_output_tokens),
    )


def _organisation(source: str) -> str:
    """Of a hub id, which is a name behind one slash; empty for folders."""
    found = _HUB_ID.fullmatch(source.removeprefix(MODELSCOPE))
    return found[1] if found else ""


def _entry(
    model: LanguageModel, replicas: Sequence[RoutableReplica], is_expected: bool, owners: Collection[str]
) -> ModelEntry:
    lengths = [replica.context_length for replica in replicas if replica.context_length]
    return ModelEntry(
        name=model.name,
        base=model.name,
        created_at=model.created_at,
        description=model.description,
        owner=next(iter(owners)) if len(owners) == 1 else "",
        capabilities=frozenset().union(*(replica.capabilities for replica in replicas)),
        context_length=min(lengths, default=None),
        price=dearest(replica.price for replica in replicas if replica.price) or price_in(model),
        balancing_policy=BalancingPolicy(model.balancing_policy),
        only_by_route=model.only_by_route,
        is_expected=is_expected,
        max_concurrency=model.max_concurrency,
        max_queue_length=model.max_queue_length,
        max_queue_wait_s=model.max_queue_wait_s,
    )
