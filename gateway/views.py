"""People's pages: what was used, and one's own keys."""

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.timezone import now
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from gateway.csv_export import csv_lines
from gateway.forms import OwnKeyForm, UsageForm
from gateway.issued import api_base_url, show_issued_key
from gateway.issuing import issue_key, revoke_key
from gateway.models import APIKey
from gateway.reports import Line, Scope, rows_by_hour
from gateway.usage_report import UsageReport, read_breakdowns, read_report

PRESETS = (7, 30, 90)


@require_GET
@login_required
def own_usage(request: HttpRequest) -> HttpResponseBase:
    return _usage_page(request, only_user=request.user.pk)


@require_GET
@login_required
def all_usage(request: HttpRequest) -> HttpResponseBase:
    if not request.user.is_staff:
        raise PermissionDenied
    return _usage_page(request, only_user=None)


@login_required
def keys(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated
    form = OwnKeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["valid_for"]
        expires_at = now() + timedelta(days=days) if days else None
        key, secret = issue_key(request.user, form.cleaned_data["name"], expires_at)
        return show_issued_key(request, "gateway/key_issued.html", key, secret, {})
    own = APIKey.objects.filter(owner_id=request.user.pk)
    return render(request, "gateway/keys.html", {"form": form, "keys": own, "base_url": api_base_url(request)})


@require_POST
@login_required
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    key = get_object_or_404(APIKey, pk=key_id, owner_id=request.user.pk)
    revoke_key(key)
    messages.success(request, gettext("“%(name)s” is revoked.") % {"name": key.name})
    return redirect("keys")


def _usage_page(request: HttpRequest, *, only_user: int | None) -> HttpResponseBase:
    form = UsageForm(request.GET)
    scope = form.scope(only_user=only_user)
    if request.GET.get("format") == "csv":
        return _csv(scope)
    report = read_report(scope, with_users=only_user is None)
    context = {
        "form": form,
        "report": report,
        "is_everybody": only_user is None,
        "presets": PRESETS,
        "base_url": api_base_url(request),
        **_choices(report, only_user=only_user),
    }
    return render(request, "gateway/usage.html", context)


def _csv(scope: Scope) -> StreamingHttpResponse:
    name = f"usage-{scope.period.first}-{scope.period.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(
        csv_lines(rows_by_hour(scope)), content_type="text/csv; charset=utf-8", headers=headers
    )


def _choices(report: UsageReport, *, only_user: int | None) -> dict[str, list[Line]]:
    """What the filters can be set to: all that occurs in the period, whatever they are set to now."""
    everything = Scope(period=report.scope.period, user_id=only_user)
    shown = report.breakdowns
    if report.scope != everything:
        shown = read_breakdowns(everything, with_users=only_user is None)
    return {f"{breakdown.parameter}s": breakdown.lines for breakdown in shown}
