"""The pages of a team: what all members see, and what its managers decide."""

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.timezone import now
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from accounts.limits import LIMITS
from accounts.models import Team, User
from audit.models import Door
from audit.recording import actor_of, record
from audit.states import state_of
from gateway.issued import show_issued_key
from gateway.issuing import issue_key
from gateway.models import APIKey, BudgetWarning
from gateway.standing import standings
from gateway.team_forms import ServiceAccountForm, TeamKeyForm
from gateway.usage_page import usage_page


@login_required
def team(request: HttpRequest) -> HttpResponse:
    """Whose it is, what it has left, who belongs to it; for managers its keys, and a form for another one."""
    own = _own_team(request)
    if request.method == "POST":
        return _issue(request, managed_team(request))
    return _page(request, own)


@require_GET
@login_required
def usage(request: HttpRequest) -> HttpResponseBase:
    return usage_page(request, only_team=managed_team(request))


@require_POST
@login_required
def add_account(request: HttpRequest) -> HttpResponse:
    """Another service account of the team."""
    managed = managed_team(request)
    form = ServiceAccountForm(request.POST)
    if not form.is_valid():
        return _page(request, managed, account_form=form)
    account = User.objects.create_user(form.cleaned_data["username"], team=managed, is_service=True)
    record(actor_of(request, Door.PAGE), "added", account, after=state_of(account))
    messages.success(request, gettext("“%(name)s” is there. Issue a key for it.") % {"name": account})
    return redirect("team")


def _own_team(request: HttpRequest) -> Team:
    assert request.user.is_authenticated
    if request.user.team is None:
        raise Http404
    return request.user.team


def managed_team(request: HttpRequest) -> Team:
    """Raises PermissionDenied for all but its managers."""
    own = _own_team(request)
    if not (request.user.is_authenticated and request.user.manages_team):
        raise PermissionDenied
    return own


def _issue(request: HttpRequest, managed: Team) -> HttpResponse:
    assert request.user.is_authenticated
    form = TeamKeyForm(request.POST, manager=request.user, team=managed)
    if not form.is_valid():
        return _page(request, managed, key_form=form)
    given = form.cleaned_data
    days = given["valid_for"]
    expires_at = now() + timedelta(days=days) if days else None
    limits = {name: given[name] for name in LIMITS}
    key, secret = issue_key(given["owner"], given["name"], expires_at, team=managed, **limits)
    record(actor_of(request, Door.PAGE), "issued", key, after=state_of(key))
    return show_issued_key(request, "gateway/key_issued.html", key, secret, {})


def _page(
    request: HttpRequest,
    own: Team,
    key_form: TeamKeyForm | None = None,
    account_form: ServiceAccountForm | None = None,
) -> HttpResponse:
    assert request.user.is_authenticated
    context = {
        "team": own,
        "standings": standings(own),
        "members": own.members.filter(is_active=True).order_by("is_service", "username"),
        "budget_warnings": BudgetWarning.objects.filter(team=own).worst(),
    }
    if request.user.manages_team:
        keys = APIKey.objects.of_team(own).select_related("owner").order_by("-revoked_at", "-created_at")
        context |= {
            "keys": keys.filter(revoked_at=None),
            "key_form": key_form or TeamKeyForm(manager=request.user, team=own),
            "account_form": account_form or ServiceAccountForm(),
        }
    return render(request, "gateway/team.html", context)
