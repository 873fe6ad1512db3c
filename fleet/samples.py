"""How busy a worker was in the last hour: taken down with its heartbeats, drawn on its page."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.utils.timezone import now
from django.utils.translation import gettext

from fleet.capacity import capacity
from fleet.models import Sample, Worker
from fleet.sparklines import Sparkline, sparkline
from protocol.control import Heartbeat

NUM_MINUTES = 60
_FIGURES = ("num_running", "num_waiting", "memory_share", "utilization")
_MINUTE = timedelta(minutes=1)


def take_sample(worker: Worker, beat: Heartbeat, last_beat_at: datetime | None) -> None:
    """Of the first beat of each minute. `worker` has taken this one up; the one before came at `last_beat_at`."""
    minute = _minute_of(now())
    if last_beat_at is not None and last_beat_at >= minute:
        return
    found = capacity(worker.hardware)
    sample = Sample(
        worker=worker,
        minute=minute,
        num_running=sum(replica.num_running for replica in beat.replicas),
        num_waiting=sum(replica.num_waiting for replica in beat.replicas),
        memory_share=found.memory_share,
        utilization=found.utilization,
    )
    # Two daemons with one credential may beat at the same moment.
    Sample.objects.bulk_create([sample], ignore_conflicts=True)


def read_load(worker_id: str) -> tuple[Sparkline, ...]:
    """The worker's last hour, a line for each figure. One query."""
    last = _minute_of(now())
    minutes = [last - _MINUTE * age for age in reversed(range(NUM_MINUTES))]
    rows = Sample.objects.filter(worker_id=worker_id, minute__gte=minutes[0]).values("minute", *_FIGURES)
    by_minute = {row["minute"]: row for row in rows}
    return _lines([by_minute.get(minute, {}) for minute in minutes])


def prune() -> int:
    """Forget what no page shows any more; how many."""
    num_gone, _by_model = Sample.objects.filter(minute__lt=now() - (NUM_MINUTES + 1) * _MINUTE).delete()
    return num_gone


def _lines(rows: Sequence[Mapping[str, float | None]]) -> tuple[Sparkline, ...]:
    values = {figure: [row.get(figure) for row in rows] for figure in _FIGURES}
    return (
        sparkline(gettext("Running requests"), values["num_running"], _count, top=1),
        sparkline(gettext("Waiting requests"), values["num_waiting"], _count, top=1),
        sparkline(gettext("Memory in use"), values["memory_share"], _percent, top=1),
        sparkline(gettext("Computing time in use"), values["utilization"], _percent, top=1),
    )


def _minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _count(value: float) -> str:
    return f"{value:.0f}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
