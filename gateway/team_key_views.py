"""The page of one key of a team, and what the team's managers decide about it. Keys that manage the fleet are no team's
business."""

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from audit.models import Door
from audit.recording import actor_of, record
from audit.states import State, state_of
from gateway.issued import show_issued_key
from gateway.issuing import change_limits, disable_key, revoke_key, rotate_key
from gateway.models import APIKey
from gateway.standing import standings
from gateway.team_forms import KeyLimitsForm, RotationForm
from gateway.team_views import managed_team

_ACTS = {"disable": disable_key, "revoke": revoke_key}
"""Not enabling: a key may have been disabled by an administrator, against the team."""


@login_required
def key(request: HttpRequest, key_id: int) -> HttpResponse:
    """What it has left; a form for its limits, and one for another secret."""
    row = _own_key(request, key_id)
    if request.method != "POST":
        return _page(request, row)
    form = KeyLimitsForm(request.POST, instance=row, team=managed_team(request))
    before = state_of(_own_key(request, key_id))
    if not form.is_valid():
        return _page(request, _own_key(request, key_id), limits_form=form)
    if change_limits(row, {name: form.cleaned_data[name] for name in form.changed_data}):
        _note(request, "limited", row, before)
        messages.success(request, gettext("The limits of “%(name)s” are changed.") % {"name": row.name})
    return redirect("team-key", key_id=row.pk)


@require_POST
@login_required
def rotate(request: HttpRequest, key_id: int) -> HttpResponse:
    """Another secret, shown once. Only for keys that the manager could have issued: nobody acts in the name of another
    person."""
    row = _own_key(request, key_id)
    if not _may_rotate(request, row):
        raise PermissionDenied
    form, before = RotationForm(request.POST), state_of(row)
    if not form.is_valid():
        return _page(request, row, rotation_form=form)
    secret = rotate_key(row, timedelta(hours=form.cleaned_data["grace"]))
    if secret is None:
        messages.error(request, gettext("The key was rotated or revoked by somebody else a moment ago."))
        return redirect("team")
    _note(request, "rotated", row, before)
    return show_issued_key(request, "gateway/key_issued.html", row, secret, {})


@require_POST
@login_required
def decide(request: HttpRequest, key_id: int, act: str) -> HttpResponse:
    """Disable or revoke it."""
    if act not in _ACTS:
        raise Http404
    row = _own_key(request, key_id)
    before = state_of(row)
    if _ACTS[act](row):
        _note(request, act, row, before)
    messages.success(request, f"“{row.name}”: {row.state.label}")
    return redirect("team")


def _own_key(request: HttpRequest, key_id: int) -> APIKey:
    """One that shares the limits of the team that the visitor manages. Raises Http404, PermissionDenied."""
    keys = APIKey.objects.of_team(managed_team(request)).select_related("owner__team", "team")
    row = get_object_or_404(keys, pk=key_id)
    if row.is_for_fleet:
        raise PermissionDenied
    return row


def _may_rotate(request: HttpRequest, row: APIKey) -> bool:
    is_program = row.owner.is_service and not row.owner.is_staff
    return row.revoked_at is None and (row.owner == request.user or is_program)


def _note(request: HttpRequest, act: str, row: APIKey, before: State) -> None:
    row.refresh_from_db()
    record(actor_of(request, Door.PAGE), act, row, before=before, after=state_of(row))


def _page(
    request: HttpRequest,
    row: APIKey,
    limits_form: KeyLimitsForm | None = None,
    rotation_form: RotationForm | None = None,
) -> HttpResponse:
    context = {
        "key": row,
        "standings": standings(row),
        "limits_form": limits_form or KeyLimitsForm(instance=row, team=managed_team(request)),
        "rotation_form": (rotation_form or RotationForm()) if _may_rotate(request, row) else None,
    }
    return render(request, "gateway/team_key.html", context)
