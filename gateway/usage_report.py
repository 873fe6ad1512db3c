"""All that a usage page shows, read in one go."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils.formats import date_format
from django.utils.timezone import now
from django.utils.translation import gettext, pgettext

from gateway.charts import Chart, bar_chart
from gateway.reports import Line, Scope, Sums, lines_by, lines_by_day, total


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One figure with its change. `percent` None: there was nothing to compare with."""

    label: str
    value: int | float | Decimal
    is_share: bool = False
    is_money: bool = False
    percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """A table of the page, and the filter that a click on one of its lines sets."""

    title: str
    parameter: str
    lines: list[Line]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    scope: Scope
    cards: list[Card]
    days: list[Line]
    requests_chart: Chart
    tokens_chart: Chart
    breakdowns: list[Breakdown]
    updated_at: datetime

    @property
    def is_empty(self) -> bool:
        return not any(line.sums.num_requests for line in self.days)


def read_report(scope: Scope, *, with_users: bool) -> UsageReport:
    days = lines_by_day(scope)
    labels = [date_format(line.key, pgettext("format of a date on a chart's axis", "M j")) for line in days]
    sums = [line.sums for line in days]
    return UsageReport(
        scope=scope,
        cards=_cards(sum(sums, Sums()), total(replace(scope, period=scope.period.previous))),
        days=days,
        requests_chart=bar_chart(labels, [(s.num_requests - s.num_failed, s.num_failed) for s in sums]),
        tokens_chart=bar_chart(labels, [(s.prompt_tokens, s.completion_tokens) for s in sums]),
        breakdowns=read_breakdowns(scope, with_users=with_users),
        updated_at=now(),
    )


def read_breakdowns(scope: Scope, *, with_users: bool) -> list[Breakdown]:
    breakdowns = [Breakdown(title=gettext("By model"), parameter="model", lines=lines_by(scope, "model"))]
    if with_users:
        users = _current_names(lines_by(scope, "user_id"))
        breakdowns.append(Breakdown(title=gettext("By user"), parameter="user", lines=users))
    keys = [_named_key(line) for line in lines_by(scope, "key_id")]
    return [*breakdowns, Breakdown(title=gettext("By key"), parameter="key", lines=keys)]


def change(value: float | Decimal, before: float | Decimal) -> int | None:
    """By how many percent it grew (or shrank, negative); None when there was nothing before."""
    return round(100 * (float(value) / float(before) - 1)) if before else None


def _cards(sums: Sums, before: Sums) -> list[Card]:
    counted = {
        gettext("Requests"): "num_requests",
        gettext("Prompt tokens"): "prompt_tokens",
        gettext("Completion tokens"): "completion_tokens",
    }
    cards = [
        Card(label=label, value=getattr(sums, name), percent=change(getattr(sums, name), getattr(before, name)))
        for label, name in counted.items()
    ]
    label = gettext("Cost (%(currency)s)") % {"currency": settings.CURRENCY}
    cards.append(Card(label=label, value=sums.cost, is_money=True, percent=change(sums.cost, before.cost)))
    return [*cards, Card(label=gettext("Failed"), value=100 * sums.failed_share, is_share=True)]


def _named_key(line: Line) -> Line:
    """What came without a key came from the chat; the filter's word for that is 0."""
    return line if line.key is not None else replace(line, key=0, label=pgettext("in place of a key", "chat"))


def _current_names(lines: list[Line]) -> list[Line]:
    """By today's user names; those who are gone keep the name that the records have."""
    users = get_user_model().objects.in_bulk([line.key for line in lines if line.key is not None])
    return [replace(line, label=str(users.get(line.key, line.label))) for line in lines]
