"""The page of what was used: one's own, a team's, or everybody's."""

from dataclasses import replace

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render

from accounts.models import Team
from gateway.csv_export import csv_lines
from gateway.forms import UsageForm
from gateway.issued import api_base_url
from gateway.models import BudgetWarning, UsageRecord
from gateway.reports import Line, Scope, rows_by_hour
from gateway.usage_report import UsageReport, read_breakdowns, read_report

PRESETS = (7, 30, 90)


def usage_page(
    request: HttpRequest, *, only_user: int | None = None, only_team: Team | None = None
) -> HttpResponseBase:
    """Whoever calls this has seen to it that the visitor may see that."""
    form = UsageForm(request.GET)
    scope = form.scope(only_user=only_user, only_team=only_team.pk if only_team else None)
    if request.GET.get("format") == "csv":
        return _csv(scope)
    report = read_report(scope, with_users=only_user is None)
    context = {
        "form": form,
        "report": report,
        "team": only_team,
        "is_everybody": only_user is None,
        "presets": PRESETS,
        "currency": settings.CURRENCY,
        "base_url": api_base_url(request),
        "policies": _policies(scope),
        "budget_warnings": warnings_for(request) if only_user else [],
        **_choices(report, only_user=only_user),
    }
    return render(request, "gateway/usage.html", context)


def warnings_for(request: HttpRequest) -> list[BudgetWarning]:
    """Of the visitor's keys and team."""
    assert request.user.is_authenticated
    return BudgetWarning.objects.seen_by(request.user).worst()


def _csv(scope: Scope) -> StreamingHttpResponse:
    name = f"usage-{scope.period.first}-{scope.period.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(
        csv_lines(rows_by_hour(scope)), content_type="text/csv; charset=utf-8", headers=headers
    )


def _policies(scope: Scope) -> list[str]:
    """Those that have found anything of what the visitor may see. Few records have one, and these have an index."""
    found = UsageRecord.objects.exclude(content_policy="").filter(replace(scope, content_policy=None).condition)
    return sorted(set(found.values_list("content_policy", flat=True).distinct()))


def _choices(report: UsageReport, *, only_user: int | None) -> dict[str, list[Line]]:
    """What the filters can be set to: all that occurs in the period, whatever they are set to now."""
    everything = Scope(period=report.scope.period, user_id=only_user, team_id=report.scope.team_id)
    shown = report.breakdowns
    if report.scope != everything:
        shown = read_breakdowns(everything, with_users=only_user is None)
    return {f"{breakdown.parameter}s": breakdown.lines for breakdown in shown}
