"""Workers in admin: how they are, and what an administrator may decide about them."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from fleet.admin.labels import LabelsField
from fleet.admin.live import CardListAdmin, live_panel
from fleet.admin.membership import MembershipActions
from fleet.admin.store_actions import StoreActions
from fleet.admin.worker_actions import WorkerActions
from fleet.models import Worker


class WorkerForm(forms.ModelForm):
    labels = LabelsField(
        label=capfirst(_("labels")),
        help_text=_("What deployments may ask for: name=value, separated by commas, such as gpu=h100, zone=a."),
    )


@admin.register(Worker)
class WorkerAdmin(WorkerActions, MembershipActions, StoreActions, CardListAdmin):
    form = WorkerForm
    live_kind = "worker"
    nothing_template = "fleet/_workers.html"
    change_form_outer_before_template = "fleet/_worker_panels.html"
    change_form_outer_after_template = "fleet/_worker_afterwards.html"
    list_filter = ("cordoned", "is_draining", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "address")
    fieldsets = (
        (None, {"fields": ("name", "labels")}),
        (_("Machine"), {"fields": ("hardware_facts", "software_version")}),
        (_("Identity"), {"fields": ("address", "pinned_ip", "join_token", "enrolled_at", "revoked_at", "id")}),
    )
    readonly_fields = (
        "hardware_facts", "software_version", "address", "pinned_ip", "join_token", "enrolled_at",
        "revoked_at", "id",
    )  # fmt: skip
    actions: ClassVar = ["cordon_selected", "uncordon_selected"]
    actions_detail: ClassVar = [
        "approve",
        "add_model",
        "cordon",
        "uncordon",
        "drain",
        "maintain",
        {"title": _("More"), "icon": "more_horiz", "items": ["rotate_credential", "remove", "revoke"]},
        "delete_model",
    ]

    @display(description=_("hardware"))
    def hardware_facts(self, worker: Worker) -> SafeString:
        return SafeString(render_to_string("fleet/_hardware.html", {"hardware": worker.hardware}))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Model | None = None, **kwargs: Any
    ) -> HttpResponse:
        context["live_load"] = live_panel(f"load:{obj.pk}") if obj else ""
        context["live_timeline"] = live_panel(f"timeline:{obj.pk}") if obj else ""
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Machines join by themselves, with a join token."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A worker that still holds a credential is revoked first."""
        may_delete = super().has_delete_permission(request, obj)
        return may_delete and (not isinstance(obj, Worker) or obj.revoked_at is not None)
