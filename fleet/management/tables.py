"""The fleet as text: tables that fit a terminal of 80 columns, and the same as plain values for --json."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from django.utils.timezone import now

from fleet.attention import Finding, shortfall
from fleet.models import LanguageModel, Transition
from fleet.overview import DeploymentView, Overview, ReplicaView, WorkerView

WIDTH = 80
_GAP = 2
_NARROWEST = 4
_ID = 8
"""So many characters of an id are shown, and are enough to name a replica."""


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need to be; the widest give way until a line fits. What is cut ends in `…`."""
    cells = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    while sum(widths) + _GAP * (len(widths) - 1) > WIDTH and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return "\n".join(_line(row, widths) for row in cells)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    fitted = (cell if len(cell) <= width else cell[: width - 1] + "…" for cell, width in zip(row, widths, strict=True))
    padded = (cell.ljust(width) for cell, width in zip(fitted, widths, strict=True))
    return (" " * _GAP).join(padded).rstrip()


def paragraph(text: str) -> str:
    """Indented, in lines of at most 80 characters."""
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="  ")


def workers_table(workers: Iterable[WorkerView]) -> str:
    headers = ("WORKER", "STATE", "HEARTBEAT", "READY", "RUNNING", "LABELS", "REMARK")
    return table(headers, [_worker_row(worker) for worker in workers])


def deployments_table(overview: Overview) -> str:
    """Below it, for each deployment that has fewer replicas than it wants, why."""
    headers = ("ID", "MODEL", "STATE", "READY", "ENGINE", "SOURCE", "RUNS ON")
    lines = [table(headers, [_deployment_row(deployment) for deployment in overview.deployments])]
    for deployment in overview.deployments:
        if why := shortfall(deployment, overview):
            lines += ["", f"{deployment.deployment_id} {deployment.model}", paragraph(why)]
            lines += [paragraph(f"{worker}: {reason}") for worker, reason in deployment.refusals]
    return "\n".join(lines)


def replicas_table(replicas: Iterable[ReplicaView]) -> str:
    headers = ("ID", "MODEL", "WORKER", "STATE", "RUNNING", "WAITING", "RESTARTS")
    return table(headers, [_replica_row(replica) for replica in replicas])


def models_table(models: Iterable[LanguageModel]) -> str:
    headers = ("MODEL", "DEPLOYMENTS", "PROVIDERS", "BALANCING", "DESCRIPTION")
    return table(headers, [tuple(model_values(model).values()) for model in models])


def timeline_table(rows: Iterable[Transition]) -> str:
    return table(("AT", "MODEL", "BEFORE", "AFTER", "CAUSE", "DETAIL"), [_event_row(row) for row in rows])


def status_text(overview: Overview, found: Iterable[Finding]) -> str:
    lines = [
        f"Workers   {overview.num_alive} of {len(overview.members)} alive",
        f"Replicas  {overview.num_ready} of {overview.num_wanted} ready",
    ]
    for finding in found:
        lines += ["", f"{finding.tone}: {finding.title}", paragraph(finding.cause)]
    return "\n".join(lines)


def worker_values(worker: WorkerView) -> dict[str, Any]:
    return {
        "id": worker.worker_id,
        "name": worker.name,
        "state": worker.state.value,
        "shown_as": worker.badge.text,
        "cordoned": worker.is_cordoned,
        "draining": worker.is_emptied,
        "maintenance": worker.maintenance_remark,
        "labels": worker.labels,
        "address": worker.address,
        "last_heartbeat_at": worker.last_heartbeat_at.isoformat() if worker.last_heartbeat_at else None,
        "replicas": [replica_values(replica) for replica in worker.replicas],
    }


def deployment_values(deployment: DeploymentView, overview: Overview) -> dict[str, Any]:
    return {
        "id": deployment.deployment_id,
        "model": deployment.model,
        "engine": deployment.engine,
        "source": deployment.source,
        "state": deployment.phase,
        "stopped": deployment.is_stopped,
        "wanted": deployment.num_wanted,
        "ready": deployment.num_ready,
        "pinned_to": list(deployment.pinned_workers),
        "why": shortfall(deployment, overview),
        "refusals": [{"worker": worker, "reason": reason} for worker, reason in deployment.refusals],
        "replicas": [replica_values(replica) for replica in deployment.replicas],
    }


def replica_values(replica: ReplicaView) -> dict[str, Any]:
    return {
        "id": replica.replica_id,
        "deployment": replica.deployment_id,
        "model": replica.model,
        "worker": replica.worker_name,
        "state": replica.phase,
        "progress": replica.progress,
        "downloaded_bytes": replica.download.num_bytes if replica.download else 0,
        "download_bytes": replica.download.total_bytes if replica.download else 0,
        "running": replica.num_running,
        "waiting": replica.num_waiting,
        "restarts": replica.num_restarts,
        "memory_bytes": replica.memory_bytes,
        "error": replica.error,
    }


def model_values(model: LanguageModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "deployments": len(model.deployments.all()),
        "providers": len(model.provider_models.all()),
        "balancing_policy": model.balancing_policy,
        "description": model.description,
    }


def event_values(row: Transition) -> dict[str, Any]:
    return {
        "at": row.at.isoformat(),
        "model": row.model,
        "before": row.before,
        "after": row.after,
        "cause": row.cause,
        "detail": row.detail,
    }


def finding_values(finding: Finding) -> dict[str, Any]:
    return {"tone": finding.tone, "title": finding.title, "cause": finding.cause}


def _worker_row(worker: WorkerView) -> tuple[object, ...]:
    ready = f"{worker.num_ready}/{len(worker.replicas)}"
    return (
        worker.name, worker.badge.text, _age(worker), ready, worker.num_running, worker.labels,
        worker.maintenance_remark,
    )  # fmt: skip


def _age(worker: WorkerView) -> str:
    if worker.last_heartbeat_at is None:
        return "never"
    seconds = max(0, round((now() - worker.last_heartbeat_at).total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def _event_row(row: Transition) -> tuple[object, ...]:
    return f"{row.at:%Y-%m-%d %H:%M:%S}", row.model, row.before, row.after, row.cause, row.detail


def _deployment_row(deployment: DeploymentView) -> tuple[object, ...]:
    ready = f"{deployment.num_ready}/{deployment.num_wanted}"
    where = ", ".join(replica.worker_name for replica in deployment.replicas)
    return (
        deployment.deployment_id, deployment.model, deployment.badge.text, ready, deployment.engine, deployment.source,
        where,
    )  # fmt: skip


def _replica_row(replica: ReplicaView) -> tuple[object, ...]:
    return (
        replica.replica_id[:_ID], replica.model, replica.worker_name, replica.badge.text, replica.num_running,
        replica.num_waiting, replica.num_restarts,
    )  # fmt: skip
