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

from fleet.attention import findings, progress, shortfall
from fleet.badges import Badge
from fleet.overview import DeploymentView, Overview, ReplicaView, WorkerView, read_overview
from fleet.provider_overview import ProviderView
from fleet.timeline import read_timeline

TIMELINE_KEY: Final = re.compile(r"timeline:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAX_TIMELINES = 4


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


def timeline_fragments(kinds: Collection[str]) -> dict[str, Fragment]:
    """Timelines, of the workers that are asked for by whole keys: nobody looks at all of them."""
    wanted = [key for key in kinds if TIMELINE_KEY.fullmatch(key)]
    return {
        key: Fragment("fleet/_timeline.html", {"entries": read_timeline(key.partition(":")[2])})
        for key in wanted[:MAX_TIMELINES]
    }


def _fleet_fragments(overview: Overview) -> Iterator[tuple[str, Fragment]]:
    found = findings(overview)
    yield "attention", Fragment("fleet/_attention.html", {"findings": found, "num_deployments": overview.num_wanted})
    yield "workers", Fragment("fleet/_workers.html", {"workers": overview.members})
    yield "models", Fragment("fleet/_models.html", {"deployments": overview.deployments})
    yield "capacity", Fragment("fleet/_capacity.html", {"overview": _counts(overview)})
    yield from _worker_fragments(overview)
    yield from _deployment_fragments(overview)
    yield from _replica_fragments(overview)
    yield from _provider_fragments(overview)


def _counts(overview: Overview) -> dict[str, int]:
    return {
        "alive": overview.num_alive,
        "members": len(overview.members),
        "ready": overview.num_ready,
        "wanted": overview.num_wanted,
    }


def worker_badge(worker: WorkerView) -> Fragment:
    return Fragment("fleet/_badge.html", {"badge": worker.badge})


def worker_beat(worker: WorkerView) -> Fragment:
    return Fragment("fleet/_beat.html", {"moment": worker.last_heartbeat_at})


def deployment_badge(deployment: DeploymentView) -> Fragment:
    return Fragment("fleet/_deployment_badge.html", {"badge": deployment.badge, "deployment": deployment})


def replica_badge(replica: ReplicaView) -> Fragment:
    return Fragment("fleet/_badge.html", {"badge": replica.badge})


def _worker_fragments(overview: Overview) -> Iterator[tuple[str, Fragment]]:
    for worker in overview.workers:
        yield f"worker:{worker.worker_id}", Fragment("fleet/_worker.html", {"worker": worker})
        yield f"worker-badge:{worker.worker_id}", worker_badge(worker)
        yield f"worker-beat:{worker.worker_id}", worker_beat(worker)
    yield "worker-list", _listing(worker.worker_id for worker in overview.workers)
    for token_id in overview.known_join_tokens:
        arrived = [worker for worker in overview.workers if worker.join_token_id == token_id]
        yield f"arrivals:{token_id}", Fragment("fleet/_arrivals.html", {"workers": arrived})


def _deployment_fragments(overview: Overview) -> Iterator[tuple[str, Fragment]]:
    for deployment in overview.deployments:
        why, progressing = shortfall(deployment, overview), progress(deployment)
        context = {"deployment": deployment, "why": why, "progress": progressing}
        yield f"deployment:{deployment.deployment_id}", Fragment("fleet/_deployment.html", context)
        yield f"deployment-badge:{deployment.deployment_id}", deployment_badge(deployment)
    yield "deployment-list", _listing(str(deployment.deployment_id) for deployment in overview.deployments)


def _replica_fragments(overview: Overview) -> Iterator[tuple[str, Fragment]]:
    for replica in overview.replicas:
        yield f"replica:{replica.replica_id}", Fragment("fleet/_replica.html", {"replica": replica})
        yield f"replica-badge:{replica.replica_id}", replica_badge(replica)
    yield "replica-list", _listing(replica.replica_id for replica in overview.replicas)


def provider_badge(provider: ProviderView) -> Fragment:
    return Fragment("fleet/_badge.html", {"badge": Badge(text=provider.state, tone=provider.tone)})


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
