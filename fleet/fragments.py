"""The pieces of admin's pages that change while somebody looks: made once here, for the first view and for the socket.

A fragment's key is `<kind>` or `<kind>:<row>`; a page marks the place with `data-live="<key>"`.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.module_loading import import_string

from fleet.attention import Finding, by_urgency, findings, progress, shortfall
from fleet.overview import Overview, ReplicaView, read_overview
from fleet.provider_overview import ProviderView
from fleet.samples import read_load
from fleet.timeline import read_timeline

_HISTORY_KEY: Final = re.compile(r"(timeline|load):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAX_HISTORIES = 8


@dataclass(frozen=True, slots=True)
class Fragment:
    """A template and what it shows. Two equal fragments look the same, so comparing them tells whether to send."""

    template: str
    context: Mapping[str, Any] = field(default_factory=dict)

    def render(self) -> str:
        return render_to_string(self.template, dict(self.context)).strip()


def read_fragments(kinds: Collection[str]) -> dict[str, Fragment]:
    """The fragments of these kinds, or with these whole keys, as they are now, from every source in LIVE_SOURCES."""
    sources = [import_string(path) for path in settings.LIVE_SOURCES]
    found = {key: fragment for source in sources for key, fragment in source(kinds).items()}
    return {key: fragment for key, fragment in found.items() if key in kinds or key.split(":")[0] in kinds}


def fleet_fragments(kinds: Collection[str]) -> dict[str, Fragment]:
    """The fleet's own part; `kinds` is not needed, as one reading serves them all."""
    return dict(_fleet_fragments(read_overview()))


def history_fragments(kinds: Collection[str]) -> dict[str, Fragment]:
    """What happened to workers, and how busy they were: of those that are asked for by whole keys, as nobody looks at
    all of them."""
    wanted = [key for key in kinds if _HISTORY_KEY.fullmatch(key)]
    return {key: _history(*key.split(":")) for key in wanted[:_MAX_HISTORIES]}


def _history(kind: str, worker_id: str) -> Fragment:
    if kind == "load":
        return Fragment("fleet/_load.html", {"lines": read_load(worker_id)})
    return Fragment("fleet/_timeline.html", {"entries": read_timeline(worker_id)})


def _fleet_fragments(overview: Overview) -> Iterator[tuple[str, Fragment]]:
    found = by_urgency([*findings(overview), *_from_elsewhere()])
    yield "attention", Fragment("fleet/_attention.html", {"findings": found, "num_deployments": overview.num_wanted})
    yield "workers", Fragment("fleet/_workers.html", {"workers": overview.members})
    yield "models", Fragment("fleet/_models.html", {"deployments": overview.deployments, "offers": overview.offers})
    yield "capacity", Fragment("fleet/_capacity.html", {"overview": _counts(overview)})
    yield from _worker_fragments(overview)
    yield from _deployment_fragments(overview)
    yield from _replica_fragments(overview)
    yield from _provider_fragments(overview)


def _from_elsewhere() -> Iterator[Finding]:
    for path in settings.FINDING_SOURCES:
        yield from import_string(path)()


def _counts(overview: Overview) -> dict[str, int]:
    return {
        "alive": overview.num_alive,
        "members": len(overview.members),
        "ready": overview.num_ready,
        "wanted": overview.num_wanted,
    }


def replica_badge(replica: ReplicaView) -> Fragment:
    return Fragment("fleet/_badge.html", {"badge": replica.badge})


def _worker_fragments(overview: Overview) -> Iterator[tuple[str, Fragment]]:
    for worker in overview.workers:
        yield f"worker:{worker.worker_id}", Fragment("fleet/_worker.html", {"worker": worker})
        yield f"worker-card:{worker.worker_id}", Fragment("fleet/_worker_card.html", {"worker": worker})
    yield "worker-list", _listing(worker.worker_id for worker in overview.workers)
    for token_id in overview.known_join_tokens:
        arrived = [worker for worker in overview.workers if worker.join_token_id == token_id]
        yield f"arrivals:{token_id}", Fragment("fleet/_arrivals.html", {"workers": arrived})


def _deployment_fragments(overview: Overview) -> Iterator[tuple[str, Fragment]]:
    for deployment in overview.deployments:
        why, progressing = shortfall(deployment, overview), progress(deployment)
        context = {"deployment": deployment, "why": why, "progress": progressing}
        yield f"deployment:{deployment.deployment_id}", Fragment("fleet/_deployment.html", context)
        yield f"deployment-card:{deployment.deployment_id}", Fragment("fleet/_deployment_card.html", context)
    yield "deployment-list", _listing(str(deployment.deployment_id) for deployment in overview.deployments)


def _replica_fragments(overview: Overview) -> Iterator[tuple[str, Fragment]]:
    for replica in overview.replicas:
        yield f"replica:{replica.replica_id}", Fragment("fleet/_replica.html", {"replica": replica})
        yield f"replica-badge:{replica.replica_id}", replica_badge(replica)
    yield "replica-list", _listing(replica.replica_id for replica in overview.replicas)


def provider_badge(provider: ProviderView) -> Fragment:
    return Fragment("fleet/_badge.html", {"badge": provider.badge})


def _provider_fragments(overview: Overview) -> Iterator[tuple[str, Fragment]]:
    for provider in overview.providers:
        shown = provider_badge(provider)
        yield f"provider-badge:{provider.provider_id}", shown
        context = {**shown.context, "provider": provider}
        yield f"provider:{provider.provider_id}", Fragment("fleet/_provider.html", context)
    yield "provider-list", _listing(str(provider.provider_id) for provider in overview.providers)


def _listing(ids: Iterator[str]) -> Fragment:
    """Which rows there are: a change list fetches itself anew when this changes."""
    return Fragment("fleet/_listing.txt", {"ids": sorted(ids)})
