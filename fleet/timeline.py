"""The timeline of a worker: what happened to it and to its replicas, newest first; and its bound."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils.timezone import now
from django.utils.translation import pgettext

from fleet.badges import Badge, phase_badge, state_badge
from fleet.models import Cause, Duty, Transition, Worker, WorkerState

NUM_SHOWN = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change, as it is shown. `before` is None at the beginning of all."""

    at: datetime
    model: str
    """Whose replica it was; empty for the worker itself."""
    before: Badge | None
    after: Badge
    cause: str
    detail: str


def read_timeline(worker_id: str) -> tuple[Entry, ...]:
    """The worker's latest changes, newest first. One query."""
    return tuple(_entry(row) for row in Transition.objects.filter(worker_id=worker_id)[:NUM_SHOWN])


def prune() -> int:
    """Forget what is older than settings.TIMELINE_KEEP_DAYS, or beyond TIMELINE_KEEP_NUM of one worker; how many."""
    oldest = now() - timedelta(days=settings.TIMELINE_KEEP_DAYS)
    num_old, _by_model = Transition.objects.filter(at__lt=oldest).delete()
    return num_old + sum(_prune_one(worker) for worker in Worker.objects.only("pk"))


def _prune_one(worker: Worker) -> int:
    rows = worker.transitions.order_by("-pk")
    last_kept = rows.values_list("pk", flat=True)[settings.TIMELINE_KEEP_NUM - 1 : settings.TIMELINE_KEEP_NUM].first()
    if last_kept is None:
        return 0
    num_gone, _by_model = rows.filter(pk__lt=last_kept).delete()
    return num_gone


def _entry(row: Transition) -> Entry:
    return Entry(
        at=row.at,
        model=row.model,
        before=_badge(row, row.before) if row.before else None,
        after=_badge(row, row.after),
        cause=str(Cause(row.cause).label),
        detail=row.detail,
    )


def _badge(row: Transition, state: str) -> Badge:
    if row.replica_id is None and state in Duty:
        return Badge(text=str(Duty(state).label), tone="success" if state == Duty.IN_SERVICE else "warning")
    if row.replica_id is None:
        return state_badge(WorkerState(state))
    if state == Transition.UNLOADED:
        return Badge(text=pgettext("replica", "unloaded"), tone="neutral")
    return phase_badge(state)
