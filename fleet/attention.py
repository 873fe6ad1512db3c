"""Rule: what in the fleet a person must look at, each with its cause and the one thing to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _

from fleet.badges import LOST, UNPLACED
from fleet.models import ProbeFailure, RollbackCause, RolloutPhase, WorkerState
from fleet.overview import DeploymentView, Overview, WorkerView
from protocol.control import ReplicaPhase

LITTLE_DISK_BYTES = 1024**3
_MAX_TOLD = 5
_NEWS_FOR = timedelta(days=1)
"""So long a version that was rolled back asks for attention; the deployment's page remembers it longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not well. `tone` is danger, warning or info."""

    tone: str
    title: str
    cause: str
    action: str
    """What the link says; `url` is where it leads."""
    url: str
    since: datetime | None = None


def findings(overview: Overview) -> list[Finding]:
    """What needs attention, the worst first; empty when the fleet is well."""
    return by_urgency([*_first_steps(overview), *_workers(overview), *_deployments(overview), *_providers(overview)])


def by_urgency(found: Sequence[Finding]) -> list[Finding]:
    return sorted(found, key=lambda finding: ("danger", "warning", "info").index(finding.tone))


def _first_steps(overview: Overview) -> Iterator[Finding]:
    if not overview.members and not overview.offers:
        yield Finding(
            tone="info",
            title=_("No worker has joined yet"),
            cause=_("Models run on workers. A join token lets a machine become one."),
            action=_("Issue a join token"),
            url=reverse("admin:fleet_jointoken_add"),
        )
    if not overview.deployments and not overview.offers:
        yield Finding(
            tone="info",
            title=_("No model is deployed"),
            cause=_("Callers and chats have nothing to talk to until a model runs somewhere."),
            action=_("Deploy a model"),
            url=reverse("admin:fleet_deployment_add"),
        )


def _workers(overview: Overview) -> Iterator[Finding]:
    for worker in overview.members:
        if worker.state is WorkerState.PENDING:
            yield _pending(worker)
        if worker.is_shared:
            yield _shared(worker)
        if worker.maintenance_remark:
            yield _under_maintenance(worker)
        elif worker.state is WorkerState.SILENT:
            yield _silent(worker)
        elif worker.state is WorkerState.UNREACHABLE:
            yield _unreachable(worker)
        elif worker.disk_free_bytes is not None and worker.disk_free_bytes < LITTLE_DISK_BYTES:
            yield _little_disk(worker)


def _under_maintenance(worker: WorkerView) -> Finding:
    """However it is: somebody works on it."""
    return Finding(
        tone="info",
        title=_("Worker %(name)s is under maintenance") % {"name": worker.name},
        cause=worker.maintenance_remark,
        action=_("Open the worker"),
        url=reverse("admin:fleet_worker_change", args=[worker.worker_id]),
    )


def _silent(worker: WorkerView) -> Finding:
    lost = sorted({replica.model for replica in worker.replicas})
    effect = _("Its replicas get no traffic: %(models)s.") % {"models": ", ".join(lost)} if lost else ""
    advice = _("See whether the machine is up and “python -m workers” runs there.")
    return Finding(
        tone="danger" if lost else "warning",
        title=_("Worker %(name)s is silent") % {"name": worker.name},
        cause=f"{effect} {advice}".strip(),
        action=_("Open the worker"),
        url=reverse("admin:fleet_worker_change", args=[worker.worker_id]),
        since=worker.last_heartbeat_at,
    )


def _unreachable(worker: WorkerView) -> Finding:
    cause = _("It calls this server, but calling it at %(address)s fails: %(failure)s.") % {
        "address": worker.address,
        "failure": ProbeFailure(worker.probe_failure).label,
    }
    advice = _("Open the way there, or start it with another --advertise.")
    return Finding(
        tone="warning",
        title=_("Worker %(name)s cannot be reached") % {"name": worker.name},
        cause=f"{cause} {advice}",
        action=_("Open the worker"),
        url=reverse("admin:fleet_worker_change", args=[worker.worker_id]),
    )


def _pending(worker: WorkerView) -> Finding:
    return Finding(
        tone="warning",
        title=_("Worker %(name)s waits for approval") % {"name": worker.name},
        cause=_("It joined from %(address)s and runs nothing until somebody approves it, or revokes it.")
        % {"address": worker.address},
        action=_("Open the worker"),
        url=reverse("admin:fleet_worker_change", args=[worker.worker_id]),
    )


def _shared(worker: WorkerView) -> Finding:
    return Finding(
        tone="danger",
        title=_("Two daemons use the credential of worker %(name)s") % {"name": worker.name},
        cause=_(
            "The one that was started later, at %(address)s, is heard; the other is refused. Stop the copy and rotate "
            "the credential; if you know neither, revoke the worker and let the machine join anew."
        )
        % {"address": worker.address},
        action=_("Open the worker"),
        url=reverse("admin:fleet_worker_change", args=[worker.worker_id]),
    )


def _little_disk(worker: WorkerView) -> Finding:
    return Finding(
        tone="warning",
        title=_("Worker %(name)s has little disk left") % {"name": worker.name},
        cause=_("%(free)s free where its models lie. What runs goes on; new models may not fit. Make room there.")
        % {"free": filesizeformat(worker.disk_free_bytes or 0)},
        action=_("Open the worker"),
        url=reverse("admin:fleet_worker_change", args=[worker.worker_id]),
    )


def _deployments(overview: Overview) -> Iterator[Finding]:
    for deployment in overview.deployments:
        is_short = deployment.num_ready < deployment.num_wanted
        # What is loading is on its way, and what is lost was said of its worker already.
        is_coming = deployment.phase in (ReplicaPhase.LOADING, ReplicaPhase.PENDING, LOST)
        if is_short and (deployment.refusals or not is_coming):
            yield _short(deployment, overview)
        if _was_taken_back(deployment):
            yield _taken_back(deployment)


def _was_taken_back(deployment: DeploymentView) -> bool:
    """By itself, as the last thing that happened, and not long ago: an administrator knows what they decided."""
    last = deployment.rollouts[0] if deployment.rollouts else None
    if last is None or last.ended_at is None or last.phase is not RolloutPhase.ROLLED_BACK:
        return False
    return last.cause != RollbackCause.ADMINISTRATOR and now() - last.ended_at < _NEWS_FOR


def _taken_back(deployment: DeploymentView) -> Finding:
    last = deployment.rollouts[0]
    return Finding(
        tone="warning",
        title=_("%(model)s: its new version was rolled back") % {"model": deployment.model},
        cause=_("Revision %(number)d: %(why)s The version before is wanted again. Mend the cause, then try again.")
        % {"number": last.revision, "why": _sentence(last.why)},
        action=_("Open the deployment"),
        url=reverse("admin:fleet_deployment_change", args=[deployment.deployment_id]),
        since=last.ended_at,
    )


def progress(deployment: DeploymentView) -> str:
    """What the rollout that runs is waiting for, in a sentence; empty when none does."""
    if deployment.rollout is None:
        return ""
    new = {replica.phase: replica for replica in deployment.replicas if not replica.is_outdated}
    if failed := new.get(ReplicaPhase.FAILED):
        return _("The new replica on %(worker)s failed and is tried once more: %(error)s") % {
            "worker": failed.worker_name,
            "error": _sentence(failed.error),
        }
    if coming := new.get(ReplicaPhase.LOADING) or new.get(ReplicaPhase.PENDING):
        return _("The new replica on %(worker)s is loading.") % {"worker": coming.worker_name}
    if lost := new.get(LOST):
        return _("The worker of the new replica, %(worker)s, is silent.") % {"worker": lost.worker_name}
    if deployment.refusals:
        return _("It waits for a place (%(reasons)s).") % {"reasons": told(deployment.refusals)}
    return _("The new version answers requests, and takes over when it has done so well for %(seconds)g s.") % {
        "seconds": settings.ROLLOUT_PROVING.total_seconds()
    }


def _providers(overview: Overview) -> Iterator[Finding]:
    for provider in overview.providers:
        if provider.is_enabled and provider.failure:
            yield Finding(
                tone="danger" if provider.models else "warning",
                title=_("Provider %(name)s: %(state)s") % {"name": provider.name, "state": provider.state},
                cause=_sentence(_("It says: %(words)s") % {"words": provider.detail} if provider.detail else ""),
                action=_("Open the provider"),
                url=reverse("admin:fleet_provider_change", args=[provider.provider_id]),
                since=provider.probed_at,
            )


def _short(deployment: DeploymentView, overview: Overview) -> Finding:
    title = _("%(model)s: %(ready)d of %(wanted)d replicas ready") % {
        "model": deployment.model,
        "ready": deployment.num_ready,
        "wanted": deployment.num_wanted,
    }
    return Finding(
        tone="warning" if deployment.num_ready else "danger",
        title=title,
        cause=shortfall(deployment, overview),
        action=_("Open the deployment"),
        url=reverse("admin:fleet_deployment_change", args=[deployment.deployment_id]),
    )


def shortfall(deployment: DeploymentView, overview: Overview) -> str:
    """Why fewer replicas are ready than wanted, in a sentence; empty when all are."""
    if deployment.num_ready >= deployment.num_wanted:
        return ""
    for replica in deployment.replicas:
        if replica.phase == ReplicaPhase.FAILED:
            return _("It failed on %(worker)s: %(error)s The worker tries again by itself.") % {
                "worker": replica.worker_name,
                "error": _sentence(replica.error),
            }
        if replica.phase == LOST:
            return _("Its worker %(worker)s is silent.") % {"worker": replica.worker_name}
        if replica.phase == ReplicaPhase.DRAINING:
            return _("It is being drained on %(worker)s.") % {"worker": replica.worker_name}
    return _no_place(deployment, overview) if deployment.refusals or deployment.phase == UNPLACED else ""


def _no_place(deployment: DeploymentView, overview: Overview) -> str:
    if not overview.members:
        return _("No worker has joined to run it.")
    if not deployment.refusals:
        return _(
            "It has no place yet, though a worker could take it. If this stays, see whether the task processes run."
        )
    return _("No worker can take it now (%(reasons)s).") % {"reasons": told(deployment.refusals)}


def told(refusals: Sequence[tuple[str, str]]) -> str:
    """`box-1: cordoned; box-2: needs 14.0 GB, 9.0 GB free`, of so many workers as one can read."""
    shown = "; ".join(f"{worker}: {reason}" for worker, reason in refusals[:_MAX_TOLD])
    num_left = len(refusals) - _MAX_TOLD
    return shown if num_left <= 0 else _("%(shown)s; and %(count)d more") % {"shown": shown, "count": num_left}


def _sentence(text: str) -> str:
    text = " ".join(text.split()) or _("no reason given")
    return text if text.endswith((".", "。", "!")) else f"{text}."
