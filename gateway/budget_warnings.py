"""Who uses much of a budget is warned: at half of it, at four fifths, and when it is used up; once each in a period.

What is due is computed from what all web processes share, and the rows are brought into line with it. So a budget that
was raised takes its warnings back, and may give them again.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.timezone import get_current_timezone, now
from django.utils.translation import gettext, override

from accounts.models import TeamRole, User
from fleet.attention import Finding
from gateway.allowances import Store
from gateway.limits import WARNING_STEPS, Balance, Limit, Subject, balance, read_limits
from gateway.models import BudgetWarning

logger = logging.getLogger(__name__)

_SHOWN_FROM = 80
_READ_AT_ONCE = 500

_Due = dict[tuple[str, date, int], Balance]


def bring_warnings_up_to_date(store: Store) -> int:
    """How many are new. Raises what the store raises; then nothing has changed."""
    due = _due(_balances(store, list(_budgets())))
    rows = {(row.bucket, row.period, row.percent): row.pk for row in BudgetWarning.objects.all()}
    BudgetWarning.objects.filter(pk__in=[pk for step, pk in rows.items() if step not in due]).delete()
    new = [_row(step, due[step]) for step in due if step not in rows]
    BudgetWarning.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def mail_warnings() -> int:
    """To those whom they concern, where e-mail is set up; of several steps the last. Gives how many mails went."""
    if not settings.EMAIL_URL:
        return 0
    return sum(_mail(warning) for warning in BudgetWarning.objects.filter(mailed_at=None).worst())


def budget_findings() -> Iterator[Finding]:
    """For the administrators' list of what needs attention."""
    for warning in BudgetWarning.objects.filter(percent__gte=_SHOWN_FROM).worst():
        yield Finding(
            tone="warning" if warning.is_used_up else "info",
            title=warning.title,
            cause=_consequence(warning),
            action=gettext("Look at its limits"),
            url=_page(warning),
            since=warning.created_at,
        )


def _budgets() -> Iterator[Limit]:
    for limits in read_limits().values():
        yield from (limit for limit in limits if limit.is_budget)


def _balances(store: Store, limits: Sequence[Limit]) -> Iterator[Balance]:
    """Where nobody has counted anything in this period, nothing was used since the budget was set."""
    for start in range(0, len(limits), _READ_AT_ONCE):
        some = limits[start : start + _READ_AT_ONCE]
        found = store.read([limit.bucket for limit in some])
        for limit in some:
            yield balance(limit, found.get(limit.bucket, {}), now().timestamp(), lambda _: 0.0)


def _due(balances: Iterable[Balance]) -> _Due:
    due: _Due = {}
    for one in balances:
        period = date.fromisoformat(one.limit.slot(now().timestamp(), "").label)
        due |= {(one.limit.bucket, period, step): one for step in WARNING_STEPS if one.percent >= step}
    return due


def _row(step: tuple[str, date, int], full: Balance) -> BudgetWarning:
    bucket, period, percent = step
    limit = full.limit
    ends_at = datetime.fromtimestamp(full.resets_at_s or 0, get_current_timezone())
    whose: dict[str, Any] = {"key_id" if limit.subject is Subject.KEY else "team_id": limit.subject_id}
    return BudgetWarning(
        bucket=bucket,
        measure=limit.measure,
        span=limit.span,
        period=period,
        ends_on=ends_at.date(),
        percent=percent,
        amount=limit.amount,
        **whose,
    )


def _mail(warning: BudgetWarning) -> bool:
    """False where there is nobody to write to, somebody else has written, or it failed: then it is tried again."""
    steps = BudgetWarning.objects.filter(bucket=warning.bucket, period=warning.period, percent__lte=warning.percent)
    addresses = _addresses(warning)
    if not addresses or not steps.filter(mailed_at=None, pk=warning.pk).update(mailed_at=now()):
        return False
    steps.update(mailed_at=now())
    try:
        with override(settings.LANGUAGE_CODE):
            context: dict[str, Any] = {"warning": warning, "consequence": _consequence(warning)}
            text = render_to_string("gateway/budget_warning.txt", context)
            send_mail(f"Flotilla: {warning.title}", text, None, addresses)
    except OSError:
        logger.exception("A budget warning could not be mailed; it is tried again")
        BudgetWarning.objects.filter(pk=warning.pk).update(mailed_at=None)
        return False
    return True


def _addresses(warning: BudgetWarning) -> list[str]:
    """The key's owner, or those who manage the team."""
    people = User.objects.filter(is_active=True).exclude(email="")
    if warning.key:
        people = people.filter(pk=warning.key.owner_id)
    else:
        people = people.filter(team=warning.team_id, team_role=TeamRole.MANAGER)
    return list(people.values_list("email", flat=True))


def _consequence(warning: BudgetWarning) -> str:
    until = f"{warning.begins_anew_at:%Y-%m-%d %H:%M %Z}"
    if warning.is_used_up:
        return gettext("Requests are refused until it begins anew at %(until)s, or is raised.") % {"until": until}
    return gettext("It begins anew at %(until)s. When it is used up, requests are refused.") % {"until": until}


def _page(warning: BudgetWarning) -> str:
    if warning.key_id:
        return reverse("admin:gateway_apikey_change", args=[warning.key_id])
    return reverse("admin:accounts_team_change", args=[warning.team_id])
