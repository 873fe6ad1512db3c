"""Invitations in admin: made here, shown once as a link, withdrawn by deleting them."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.timezone import now
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.invitations import invite
from accounts.models import Invitation
from audit.admin_base import AuditedAdmin

DAYS = [(1, _("1 day")), (7, _("7 days")), (30, _("30 days"))]


class InviteForm(forms.ModelForm):
    valid_for = forms.TypedChoiceField(
        label=capfirst(_("valid for")), choices=DAYS, coerce=int, initial=7, widget=UnfoldAdminSelectWidget
    )

    class Meta:
        model = Invitation
        fields = ("name", "team")
        help_texts: ClassVar = {"team": _("Whose member the new account becomes.")}


@admin.register(Invitation)
class InvitationAdmin(AuditedAdmin):
    list_display = ("name", "team", "hint", "state", "expires_at", "used_by", "created_by", "created_at")
    list_select_related = ("team", "used_by", "created_by")
    search_fields = ("name", "used_by__username")
    fields = ("name", "team", "hint", "state", "expires_at", "used_by", "used_at", "created_by", "created_at")

    @display(description=_("state"), label={"used": "info", "expired": "warning", "usable": "success"})
    def state(self, invitation: Invitation) -> tuple[str, str]:
        if invitation.used_at:
            return "used", pgettext("token", "used up")
        if invitation.expires_at <= now():
            return "expired", pgettext("token", "expired")
        return "usable", pgettext("token", "usable")

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = InviteForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Invitation | None = None) -> Any:
        return self.fields if obj else ("name", "team", "valid_for")

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        assert request.user.is_authenticated
        lifetime = timedelta(days=form.cleaned_data["valid_for"])
        invitation, text = invite(obj.name, team=obj.team, lifetime=lifetime, created_by=request.user)
        # The text is for response_add, on this object only: it is written nowhere.
        vars(obj).update(vars(invitation), issued_secret=text)

    def response_add(self, request: HttpRequest, obj: Invitation, post_url_continue: str | None = None) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("The invitation"),
            "invitation": obj,
            "link": request.build_absolute_uri(reverse("invitation", args=[vars(obj)["issued_secret"]])),
            "sign_up": settings.SIGN_UP,
            "opts": self.opts,
            "list_url": reverse("admin:accounts_invitation_changelist"),
        }
        response = TemplateResponse(request, "account/invitation_issued.html", context)
        response["Cache-Control"] = "no-store"
        return response
