"""Join tokens in admin: issued here, shown once with the command to paste, revoked here."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from audit.admin_base import AuditedAdmin
from fleet.addresses import parse_networks
from fleet.admin.acting import row_of
from fleet.admin.labels import LabelsField
from fleet.admin.live import badge, leave_dialog
from fleet.enrolment import Terms, issue_join_token
from fleet.errors import NetworksMalformed
from fleet.installation import Hardware, is_remote, join_command
from fleet.labels import format_labels
from fleet.models import JoinToken, JoinTokenState
from fleet.shown_once import show_once


class NetworksField(forms.CharField):
    """Its value is a list of networks; empty text is none."""

    widget = UnfoldAdminTextInputWidget

    def clean(self, value: Any) -> Any:
        try:
            return parse_networks(super().clean(value))
        except NetworksMalformed as error:
            raise forms.ValidationError(str(error)) from error


_TONES = {
    JoinTokenState.REVOKED: "danger",
    JoinTokenState.EXPIRED: "warning",
    JoinTokenState.USED_UP: "neutral",
    JoinTokenState.USABLE: "success",
}

HOURS = [(1, _("1 hour")), (24, _("1 day")), (7 * 24, _("7 days")), (30 * 24, _("30 days"))]


class IssueJoinTokenForm(forms.ModelForm):
    hardware = forms.ChoiceField(
        label=capfirst(_("hardware")),
        choices=Hardware.choices,
        required=False,
        initial=Hardware.CPU,
        widget=UnfoldAdminRadioSelectWidget,
        help_text=_("What the machine computes with: the command installs what fits."),
    )
    valid_for = forms.TypedChoiceField(
        label=capfirst(_("valid for")), choices=HOURS, coerce=int, initial=24, widget=UnfoldAdminSelectWidget
    )
    networks = NetworksField(
        label=capfirst(_("allowed networks")),
        required=False,
        max_length=1000,
        help_text=_("From where it may be used: 10.0.0.0/8, 192.168.1.7. Empty: from anywhere."),
    )
    labels = LabelsField(
        label=capfirst(_("labels")),
        help_text=_("What the worker is labelled with: name=value, separated by commas, such as gpu=h100, zone=a."),
    )

    class Meta:
        model = JoinToken
        fields = ("name", "max_uses", "networks", "labels", "needs_approval")
        help_texts: ClassVar = {
            "name": _("For whom or what it is, such as “GPU box in room 4”."),
            "max_uses": _("How many machines may join with it. Empty: no limit."),
            "needs_approval": _("A machine that joins runs nothing until you approve it on its page."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["max_uses"].initial = 1


@admin.register(JoinToken)
class JoinTokenAdmin(AuditedAdmin):
    list_display = ("name", "hint", "state", "uses", "expires_at", "created_by", "created_at")
    list_select_related = ("created_by",)
    search_fields = ("name", "hint")
    add_fieldsets = (
        (_("Machine"), {"fields": ("hardware", "name")}),
        (_("Join token"), {"fields": ("valid_for", "max_uses")}),
        (_("Conditions"), {"fields": ("networks", "labels", "needs_approval")}),
    )
    fields = (
        "name", "hint", "state", "uses", "expires_at", "networks_shown", "labels_shown", "needs_approval",
        "created_by", "created_at", "revoked_at",
    )  # fmt: skip
    readonly_fields = fields[1:]
    actions_detail: ClassVar = ["revoke"]
    actions_row: ClassVar = ["revoke"]

    @display(description=_("state"))
    def state(self, token: JoinToken) -> SafeString:
        return badge(str(token.state.label), _TONES[token.state])

    @display(description=_("used"), ordering="num_uses")
    def uses(self, token: JoinToken) -> str:
        return f"{token.num_uses} / {token.max_uses if token.max_uses is not None else '∞'}"

    @display(description=_("allowed networks"))
    def networks_shown(self, token: JoinToken) -> str:
        return ", ".join(token.networks) or gettext("from anywhere")

    @display(description=_("labels"))
    def labels_shown(self, token: JoinToken) -> str:
        return format_labels(token.labels) or "–"

    @action(
        description=_("Revoke"),
        permissions=["change"],
        icon="block",
        variant=ActionVariant.DANGER,
        dialog={
            "title": _("Revoke this join token?"),
            "description": _("No machine can join with it any more. Workers that joined stay."),
            "form_submit_text": _("Revoke"),
        },
    )
    def revoke(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        token = row_of(JoinToken, object_id)
        if token.revoke():
            self.log_change(request, token, gettext("Revoked."))
            messages.success(request, gettext("The join token is revoked."))
        return leave_dialog(request, reverse("admin:fleet_jointoken_changelist"))

    def get_form(self, request: HttpRequest, obj: JoinToken | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = IssueJoinTokenForm
        return super().get_form(request, obj, change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: JoinToken | None = None) -> tuple[str, ...]:
        return self.readonly_fields if obj else ()

    def save_model(self, request: HttpRequest, obj: JoinToken, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        assert request.user.is_authenticated
        token, text = issue_join_token(
            obj.name,
            lifetime=timedelta(hours=form.cleaned_data["valid_for"]),
            max_uses=obj.max_uses,
            created_by=request.user,
            terms=Terms(networks=obj.networks, labels=obj.labels, needs_approval=obj.needs_approval),
        )
        # The text is for response_add, on this object only: it is written nowhere.
        vars(obj).update(vars(token), issued_secret=text, hardware=form.cleaned_data["hardware"] or Hardware.CPU)

    def response_add(self, request: HttpRequest, obj: JoinToken, post_url_continue: str | None = None) -> HttpResponse:
        server, secret = request.build_absolute_uri("/").rstrip("/"), vars(obj)["issued_secret"]
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Add a worker"),
            "token": obj,
            "server": server,
            "is_remote": is_remote(server),
            "secret": secret,
            "command": join_command(server, secret, vars(obj)["hardware"]),
            "opts": self.opts,
            "list_url": reverse("admin:fleet_jointoken_changelist"),
        }
        return show_once(request, "fleet/join_token_issued.html", context)
