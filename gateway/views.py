"""People's pages: what was used, and one's own keys."""

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.timezone import now
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from audit.models import Door
from audit.recording import actor_of, record
from audit.states import state_of
from gateway.forms import OwnKeyForm
from gateway.issued import api_base_url, show_issued_key
from gateway.issuing import issue_key, revoke_key
from gateway.models import APIKey
from gateway.usage_page import usage_page, warnings_for


@require_GET
@login_required
def own_usage(request: HttpRequest) -> HttpResponseBase:
    return usage_page(request, only_user=request.user.pk)


@require_GET
@login_required
def all_usage(request: HttpRequest) -> HttpResponseBase:
    if not request.user.is_staff:
        raise PermissionDenied
    return usage_page(request)


@login_required
def keys(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated
    form = OwnKeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["valid_for"]
        expires_at = now() + timedelta(days=days) if days else None
        key, secret = issue_key(request.user, form.cleaned_data["name"], expires_at)
        record(actor_of(request, Door.PAGE), "issued", key, after=state_of(key))
        return show_issued_key(request, "gateway/key_issued.html", key, secret, {})
    own = APIKey.objects.filter(owner_id=request.user.pk)
    context = {"form": form, "keys": own, "base_url": api_base_url(request), "budget_warnings": warnings_for(request)}
    return render(request, "gateway/keys.html", context)


@require_POST
@login_required
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    key = get_object_or_404(APIKey, pk=key_id, owner_id=request.user.pk)
    if revoke_key(key):
        before = state_of(key)
        key.refresh_from_db()
        record(actor_of(request, Door.PAGE), "revoked", key, before=before, after=state_of(key))
    messages.success(request, gettext("“%(name)s” is revoked.") % {"name": key.name})
    return redirect("keys")
