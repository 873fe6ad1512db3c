"""What a key has used, and what is left of its limits; asked by the key itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from channels.db import database_sync_to_async
from django.utils.dateparse import parse_date
from django.utils.timezone import localdate

from gateway.errors import InvalidRequest, RateLimitExceeded
from gateway.keyring import Caller
from gateway.limiter import Limiter
from gateway.limits import Balance, Span, current_period
from gateway.reports import Line, Period, Scope, Sums, lines_by, lines_by_day, used_since

DEFAULT_DAYS, MAX_DAYS = 30, 400
BUDGET_SPANS = (Span.DAY, Span.WEEK, Span.MONTH)
_PARAMETERS = ("start", "end")

_asking: set[int | None] = set()
"""Keys whose question is being answered: sums cost the database more than anything else that a key may ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnUsage:
    """`running`: since the day, the week and the month began, whatever was asked for."""

    period: Period
    models: list[Line]
    days: list[Line]
    running: Mapping[Span, Sums]
    balances: list[Balance]

    @property
    def total(self) -> Sums:
        return sum((line.sums for line in self.days), Sums())


async def read_own_usage(caller: Caller, period: Period, limiter: Limiter) -> OwnUsage:
    """Raises RateLimitExceeded while another question of this key is being answered."""
    if caller.key_id in _asking:
        raise RateLimitExceeded(
            "one question about its usage at the same time of this key", type="requests", retry_after_s=1, headers={}
        )
    _asking.add(caller.key_id)
    try:
        usage = await _by_the_records(caller, period)
        return replace(usage, balances=await limiter.balances(limiter.limits_of(caller)))
    finally:
        _asking.discard(caller.key_id)


def asked_period(query: Mapping[str, str]) -> Period:
    """Of `start` and `end`: days, both included; without them the last 30. Raises InvalidRequest."""
    for name in query:
        if name not in _PARAMETERS:
            message = f"Unknown parameter: give {' and '.join(_PARAMETERS)} only, each as 2026-03-31."
            raise InvalidRequest(message, param=name, code="unknown_parameter")
    last = _day(query, "end") or localdate()
    first = _day(query, "start") or last - timedelta(days=DEFAULT_DAYS - 1)
    if first > last:
        raise _wrong("start", "The first day lies after the last one.")
    if (last - first).days >= MAX_DAYS:
        raise _wrong("start", f"Ask for {MAX_DAYS} days at most.")
    return Period(first=first, last=last)


def _day(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    # The years at both ends of the calendar have no day before or after them.
    if day is None or not 1970 <= day.year <= 9000:
        raise _wrong(name, "Give a day as 2026-03-31.")
    return day


def _wrong(name: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for '{name}': {message}", param=name, code="invalid_value")


@database_sync_to_async
def _by_the_records(caller: Caller, period: Period) -> OwnUsage:
    scope = Scope(period=period, user_id=caller.user_id, key_id=caller.key_id)
    of: dict[str, Any] = {"user_id": caller.user_id, "key_id": caller.key_id}
    return OwnUsage(
        period=period,
        models=lines_by(scope, "model"),
        days=lines_by_day(scope),
        running={span: used_since(current_period(span)[0], of) for span in BUDGET_SPANS},
        balances=[],
    )
