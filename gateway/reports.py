"""What was used: the sums that pages show, and the roll-up that keeps them cheap. Records are added up here alone.

A report reads UsageHour for the hours that were rolled up and UsageRecord for those after, so it is right at any
moment, also where the task never ran.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Max, Q, QuerySet, Sum, Value
from django.db.models.functions import TruncDate, TruncHour
from django.utils.timezone import get_current_timezone, localdate, now

from gateway.models import UsageHour, UsageRecord, UsageState

SLACK = timedelta(hours=1)
"""A closed hour is rolled up this much later: records come by the journal, in batches."""
LATE = timedelta(days=3)
"""How far behind the last roll-up records are still expected, from a journal that was replayed after a crash."""

WENT_WELL = (UsageState.COMPLETE, UsageState.CUT_BY_CLIENT)
FIGURES = (
    "num_requests", "num_failed", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "cost",
)  # fmt: skip
SUMMED = (
    {f"sum_{name}": name for name in FIGURES}
    | {"label_user": "user_name", "label_key": "key_name"}
    | {"label_team": "team_id"}
)
"""Names of our annotations and what they stand for: Django lets none be called as a field of the model."""
LABELS: dict[str, dict[str, Any]] = {
    "model": {"label": F("model"), "detail": Value("")},
    "user_id": {"label": Max("user_name"), "detail": Value("")},
    "key_id": {"label": Max("key_name"), "detail": Max("user_name")},
}
"""Names were copied into the records; of several that one id has had, a report shows one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Requests and tokens, added up. `num_failed`: neither complete nor cut by the client; `cached_tokens` are among
    the prompt's, `reasoning_tokens` among the completion's."""

    num_requests: int = 0
    num_failed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Decimal = Decimal(0)

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def failed_share(self) -> float:
        """0 to 1; 0 when there was no request."""
        return self.num_failed / self.num_requests if self.num_requests else 0.0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(Sums)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The sums of one day, model, user or key. `key` is what they were grouped by, `label` what a person reads."""

    key: Any
    label: str
    detail: str = ""
    """Of a key: whose it is."""
    sums: Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Whole days of the current time zone, both ends included."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        return datetime.combine(self.first, time.min, get_current_timezone())

    @property
    def end(self) -> datetime:
        """The moment after the last day."""
        return datetime.combine(self.last + timedelta(days=1), time.min, get_current_timezone())

    @property
    def num_days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=offset) for offset in range(self.num_days)]

    @property
    def previous(self) -> "Period":
        """As many days, right before."""
        length = timedelta(days=self.num_days)
        return Period(first=self.first - length, last=self.last - length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose usage of what, when. None: whatever it is. `key_id` 0: what came without a key, by the chat."""

    period: Period
    user_id: int | None = None
    team_id: int | None = None
    model: str | None = None
    key_id: int | None = None
    content_policy: str | None = None
    """What it refused or marked. Only single records know it, so beyond USAGE_KEEP_DAYS there is nothing."""

    @property
    def condition(self) -> Q:
        wanted = {
            "user_id": self.user_id,
            "team_id": self.team_id,
            "model": self.model,
            "key_id": self.key_id or None,
            "content_policy": self.content_policy,
        }
        condition = Q(**{name: value for name, value in wanted.items() if value is not None})
        return condition & Q(key_id=None) if self.key_id == 0 else condition


def total(scope: Scope) -> Sums:
    hours, records = _sources(scope)
    return _added_up(hours, records)


def used_since(start: datetime, of: dict[str, int]) -> Sums:
    """Of everybody with these columns, until now."""
    border = max(_rolled_up_until() or start, start)
    hours = UsageHour.objects.filter(**of, hour__gte=start, hour__lt=border)
    records = UsageRecord.objects.filter(**of, created_at__gte=border)
    return _added_up(hours, records)


def lines_by(scope: Scope, field: str) -> list[Line]:
    """The sums for each value of "model", "user_id" or "key_id", the busiest first."""
    labels = LABELS[field]
    hours, records = _sources(scope)
    found: dict[Any, Line] = {}
    for row in (*_grouped(hours, _HOUR_SUMS, field, labels), *_grouped(records, _RECORD_SUMS, field, labels)):
        known = found.get(row[field])
        sums = _sums(row) + known.sums if known else _sums(row)
        found[row[field]] = Line(key=row[field], label=row["label"] or "", detail=row["detail"] or "", sums=sums)
    return sorted(found.values(), key=lambda line: (-line.sums.total_tokens, -line.sums.num_requests, line.label))


def lines_by_day(scope: Scope) -> list[Line]:
    """The sums of each day of the period, in order, days without any request included."""
    hours, records = _sources(scope)
    # By hour first: SQLite calls back into Python to cut a moment to its day, for each row that it groups.
    by_hour = [(localdate(row["hour"]), row) for row in _grouped(hours, _HOUR_SUMS, "hour", {})]
    days = records.annotate(day=TruncDate("created_at"))
    by_day = [(row["day"], row) for row in _grouped(days, _RECORD_SUMS, "day", {})]
    found: dict[date, Sums] = {}
    for day, row in (*by_hour, *by_day):
        found[day] = found.get(day, Sums()) + _sums(row)
    return [Line(key=day, label=day.isoformat(), sums=found.get(day, Sums())) for day in scope.period.days]


def rows_by_hour(scope: Scope) -> AsyncIterator[dict[str, Any]]:
    """One row for each hour, user, key and model, the newest hours last; read while it is iterated, never as a whole.

    Called from sync code: where the roll-up ends is asked now.
    """
    hours, records = _sources(scope)
    columns = ("hour", "user_id", "user_name", "key_id", "key_name", "model", *FIGURES)
    return _rows(hours.order_by("hour", "pk").values(*columns), _by_hour(records))


def sum_usage_up() -> int:
    """Roll up the closed hours that have records which are not in their sums yet; how many hours were written.

    An hour with fewer records than were summed is left alone: its records were pruned. Hours are written in order, each
    in a transaction of its own: a report trusts all hours before the last one, and nobody waits long for the database.
    """
    closed_until = start_of_hour(now() - SLACK)
    rolled_up = _rolled_up_until()
    records = UsageRecord.objects.filter(created_at__lt=closed_until)
    if rolled_up:
        records = records.filter(created_at__gte=rolled_up - LATE)
    stale = _stale_hours(records)
    for hour in stale:
        _write_hour(hour)
    return len(stale)


def start_of_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


@transaction.atomic
def _write_hour(hour: datetime) -> None:
    records = UsageRecord.objects.filter(created_at__gte=hour, created_at__lt=hour + timedelta(hours=1))
    UsageHour.objects.filter(hour=hour).delete()
    UsageHour.objects.bulk_create(UsageHour(**_plain(row)) for row in _by_hour(records))


def _stale_hours(records: QuerySet[UsageRecord]) -> list[datetime]:
    counted = records.annotate(hour=TruncHour("created_at", tzinfo=UTC)).order_by("hour").values_list("hour")
    found = dict(counted.annotate(count=Count("pk")))
    if not found:
        return []
    summed = UsageHour.objects.filter(hour__gte=min(found)).values_list("hour").order_by("hour")
    known = dict(summed.annotate(count=Sum("num_requests")))
    return sorted(hour for hour, count in found.items() if count > known.get(hour, 0))


def _rolled_up_until() -> datetime | None:
    """The end of the last hour that was rolled up; all hours before it were, too."""
    last: datetime | None = UsageHour.objects.aggregate(last=Max("hour"))["last"]
    return last + timedelta(hours=1) if last else None


def _sources(scope: Scope) -> tuple[QuerySet[UsageHour], QuerySet[UsageRecord]]:
    """The rolled-up hours of the scope, and the records after them: together everything, nothing twice."""
    start, end = scope.period.start, scope.period.end
    if scope.content_policy:
        return UsageHour.objects.none(), UsageRecord.objects.filter(
            scope.condition, created_at__gte=start, created_at__lt=end
        )
    border = min(max(_rolled_up_until() or start, start), end)
    hours = UsageHour.objects.filter(scope.condition, hour__gte=start, hour__lt=border)
    records = UsageRecord.objects.filter(scope.condition, created_at__gte=border, created_at__lt=end)
    return hours, records


def _grouped(rows: QuerySet[Any], sums: dict[str, Any], field: str, labels: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return rows.order_by().values(field).annotate(**labels).annotate(**sums)


async def _rows(*sources: QuerySet[Any, Any]) -> AsyncIterator[dict[str, Any]]:
    for source in sources:
        async for row in source.aiterator(chunk_size=1000):
            yield _plain(row)


def _by_hour(records: QuerySet[UsageRecord]) -> QuerySet[Any, Any]:
    """The records added up as UsageHour keeps them; `_plain` makes its fields of a row."""
    hours = records.annotate(hour=TruncHour("created_at", tzinfo=UTC)).order_by("hour")
    labels = {"label_user": Max("user_name"), "label_key": Max("key_name"), "label_team": Max("team_id")}
    return hours.values("hour", "user_id", "key_id", "model").annotate(**_RECORD_SUMS, **labels)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {SUMMED.get(name, name): value for name, value in row.items()}


def _sums(row: dict[str, Any]) -> Sums:
    figures: dict[str, Any] = {name: row[f"sum_{name}"] or 0 for name in FIGURES}
    return Sums(**figures)


def _added_up(hours: QuerySet[UsageHour], records: QuerySet[UsageRecord]) -> Sums:
    return _sums(hours.aggregate(**_HOUR_SUMS)) + _sums(records.aggregate(**_RECORD_SUMS))


_HOUR_SUMS = {f"sum_{name}": Sum(name) for name in FIGURES}
_RECORD_SUMS = {
    "sum_num_requests": Count("pk"),
    "sum_num_failed": Count("pk", filter=~Q(state__in=WENT_WELL)),
    **{f"sum_{name}": Sum(name) for name in FIGURES if name.endswith("_tokens")},
    "sum_cost": Sum("cost", default=Decimal(0)),
}
