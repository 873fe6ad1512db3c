"""How far the limits of a key or a team are used up: for the pages, by the same count as for the calls themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from asgiref.sync import async_to_sync
from django.utils.timezone import get_current_timezone

from accounts.limits import LIMITS
from accounts.models import Team
from gateway import runtime
from gateway.budgets import read_balances
from gateway.limit_words import limit_in_words, number
from gateway.limits import Balance, Limit, Subject, limits_in
from gateway.models import APIKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Of one limit, in words. `percent`: 0 to 100. `resets_at` None: as requests end."""

    limit: str
    used: str
    left: str
    percent: float
    resets_at: datetime | None
    is_of_team: bool


def standings(subject: APIKey | Team) -> list[Standing]:
    """Of all limits that hold for it: a key's own, then its team's."""
    return [_worded(balance) for balance in _balances(_limits_of(subject))]


def _limits_of(subject: APIKey | Team) -> list[Limit]:
    if isinstance(subject, Team):
        return [*limits_in(_columns(subject), Subject.TEAM)]
    team = subject.team or subject.owner.team
    return [*limits_in(_columns(subject), Subject.KEY), *(_limits_of(team) if team else ())]


def _columns(subject: APIKey | Team) -> dict[str, object]:
    return {"pk": subject.pk, **{name: getattr(subject, name) for name in LIMITS}}


def _balances(limits: Sequence[Limit]) -> list[Balance]:
    try:
        return async_to_sync(runtime.current().limiter.balances)(limits)
    except runtime.NotStarted:
        return read_balances(limits)


def _worded(balance: Balance) -> Standing:
    limit, resets_at_s = balance.limit, balance.resets_at_s
    return Standing(
        limit=limit_in_words(limit.measure, limit.span, limit.amount),
        used=number(limit.measure, balance.used),
        left=number(limit.measure, balance.left),
        percent=min(balance.percent, 100),
        resets_at=datetime.fromtimestamp(resets_at_s, get_current_timezone()) if resets_at_s else None,
        is_of_team=limit.subject is Subject.TEAM,
    )
