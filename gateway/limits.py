"""Rule: how much of a limit is used, whether there is room, and when there will be.

What was used of a limit is a set of entries, each an amount that counts until a moment of its own:

    a minute        one entry for each second, counts for 60 s: the window slides
    a day, a week   one entry for the period, counts to its end
    at the same time  one entry for each process, counts for as long as that process says so
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import Q
from django.utils.timezone import get_current_timezone, localtime

from accounts.limits import LIMITS
from accounts.models import Team
from gateway.models import APIKey

Entries = Mapping[str, tuple[float, float]]
"""Label → amount, and until when it counts, in seconds since the epoch."""

WARNING_STEPS = (50, 80, 100)
"""Percent of a budget at which there is a warning."""
_MINUTE_S = 60.0
HELD_FOR_S = 15.0
"""So long a process that says nothing more is believed to serve its requests."""


class Subject(StrEnum):
    """Whose limit it is."""

    KEY = "key"
    TEAM = "team"


class Measure(StrEnum):
    """What is limited."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    COST = "cost"
    PARALLEL = "parallel"


class Span(StrEnum):
    """In what time."""

    MINUTE = "minute"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    NOW = "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The entry that is added to now."""

    label: str
    expires_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `amount` of the measure in the span."""

    subject: Subject
    subject_id: int
    measure: Measure
    span: Span
    amount: float

    @property
    def bucket(self) -> str:
        """By which all processes know what was used of it."""
        return f"{self.subject}:{self.subject_id}:{self.measure}:{self.span}"

    @property
    def in_words(self) -> str:
        """`60 requests a minute of this key`, for programs."""
        amount = f"{self.amount:g}" if self.measure is Measure.COST else f"{self.amount:.0f}"
        if self.measure is Measure.PARALLEL:
            return f"{amount} requests at the same time of this {self.subject}"
        return f"{amount} {self.measure} a {self.span} of this {self.subject}"

    @property
    def is_budget(self) -> bool:
        return self.span in (Span.DAY, Span.WEEK, Span.MONTH)

    def slot(self, clock_s: float, process: str) -> Slot:
        if self.span is Span.MINUTE:
            return Slot(label=f"{clock_s:.0f}", expires_at_s=clock_s + _MINUTE_S)
        if self.span is Span.NOW:
            return Slot(label=process, expires_at_s=clock_s + HELD_FOR_S)
        start, end = period(self.span, datetime.fromtimestamp(clock_s, get_current_timezone()))
        return Slot(label=start.date().isoformat(), expires_at_s=end.timestamp())


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How much of a limit is used now. More than all of it: the last requests needed more than was foreseen."""

    limit: Limit
    used: float
    resets_at_s: float | None
    """When all of it is there again, if nobody uses more, in seconds since the epoch; None: when requests end."""

    @property
    def left(self) -> float:
        return max(0.0, self.limit.amount - self.used)

    @property
    def percent(self) -> float:
        """0 to 100, and beyond."""
        return 100 * self.used / self.limit.amount if self.limit.amount else 100.0


Limits = Mapping[tuple[Subject, int], tuple[Limit, ...]]
"""Those that have any, and theirs."""


def period(span: Span, moment: datetime) -> tuple[datetime, datetime]:
    """The day, week or month that the moment lies in: its beginning, and that of the next one."""
    today = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if span is Span.DAY:
        return today, today + timedelta(days=1)
    if span is Span.WEEK:
        monday = today - timedelta(days=today.weekday())
        return monday, monday + timedelta(days=7)
    first = today.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def current_period(span: Span) -> tuple[datetime, datetime]:
    return period(span, localtime())


def used(entries: Entries, clock_s: float) -> float:
    return sum(amount for amount, expires_at_s in entries.values() if expires_at_s > clock_s)


def added(entries: Entries, slot: Slot, amount: float, clock_s: float) -> Entries:
    """With so much more, or less, in the slot; what counts no longer is dropped."""
    live = {label: entry for label, entry in entries.items() if entry[1] > clock_s}
    before, _ = live.get(slot.label, (0.0, 0.0))
    if (total := before + amount) > 0:
        return {**live, slot.label: (total, slot.expires_at_s)}
    return {label: entry for label, entry in live.items() if label != slot.label}


def room_at_s(entries: Entries, limit: float, amount: float, clock_s: float) -> float:
    """When so much will fit, if nothing more is used until then: the earliest moment, now at the earliest."""
    excess = used(entries, clock_s) + amount - limit
    for gone, expires_at_s in sorted(entries.values(), key=lambda entry: entry[1]):
        if excess <= 0:
            break
        if expires_at_s > clock_s:
            excess -= gone
            clock_s = expires_at_s
    return clock_s


def balance(limit: Limit, entries: Entries, clock_s: float, seed: Callable[[Limit], float]) -> Balance:
    """`seed`: what was used of a budget of which nobody has counted anything in this period."""
    slot = limit.slot(clock_s, "")
    if not limit.is_budget:
        until = max((until for _, until in entries.values()), default=clock_s)
        resets_at_s = max(until, clock_s) if limit.span is Span.MINUTE else None
        return Balance(limit=limit, used=used(entries, clock_s), resets_at_s=resets_at_s)
    num_used = used(entries, clock_s) if slot.label in entries else seed(limit)
    return Balance(limit=limit, used=num_used, resets_at_s=slot.expires_at_s)


def read_limits() -> Limits:
    """Of all keys and teams that have any: two queries."""
    has_any = Q()
    for name in LIMITS:
        has_any |= ~Q(**{name: None})
    keys = APIKey.objects.usable().filter(has_any).order_by().values("pk", *LIMITS)
    teams = Team.objects.filter(has_any).order_by().values("pk", *LIMITS)
    of_keys = {(Subject.KEY, row["pk"]): limits_in(row, Subject.KEY) for row in keys}
    return of_keys | {(Subject.TEAM, row["pk"]): limits_in(row, Subject.TEAM) for row in teams}


def limits_in(row: Mapping[str, Any], subject: Subject) -> tuple[Limit, ...]:
    """The limits in the columns of a key or a team; the shortest first, so that a rate is refused before a budget."""
    return tuple(
        Limit(subject=subject, subject_id=row["pk"], measure=measure, span=span, amount=float(row[column]))
        for column, measure, span in _COLUMNS
        if row[column] is not None
    )


_COLUMNS = (
    ("max_parallel_requests", Measure.PARALLEL, Span.NOW),
    ("max_requests_per_minute", Measure.REQUESTS, Span.MINUTE),
    ("max_tokens_per_minute", Measure.TOKENS, Span.MINUTE),
    ("max_tokens_per_day", Measure.TOKENS, Span.DAY),
    ("max_tokens_per_week", Measure.TOKENS, Span.WEEK),
    ("max_tokens_per_month", Measure.TOKENS, Span.MONTH),
    ("max_cost_per_day", Measure.COST, Span.DAY),
    ("max_cost_per_week", Measure.COST, Span.WEEK),
    ("max_cost_per_month", Measure.COST, Span.MONTH),
)
