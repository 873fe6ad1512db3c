"""Workers in admin: how they are, and what an administrator may decide about them."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from fleet.admin.labels import LabelsField
from fleet.admin.live import LiveModelAdmin, leave_dialog, live_panel, live_place
from fleet.admin.membership import MembershipActions
from fleet.fragments import worker_badge, worker_beat
from fleet.membership import revoke
from fleet.models import Worker
from fleet.overview import worker_view
from fleet.reconciler import reconcile


class WorkerForm(forms.ModelForm):
    labels = LabelsField(
        label=_("labels"),
        help_text=_("What deployments may ask for: name=value, separated by commas, such as gpu=h100, zone=a."),
    )


@admin.register(Worker)
class WorkerAdmin(MembershipActions, LiveModelAdmin):
    form = WorkerForm
    live_kind = "worker"
    change_form_outer_after_template = "fleet/_live_timeline.html"
    list_display = ("name", "live_state", "live_beat", "devices", "address", "software_version", "enrolled_at")
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
    actions_detail: ClassVar = ["approve", "cordon", "uncordon", "rotate_credential", "revoke"]

    @display(description=_("state"))
    def live_state(self, worker: Worker) -> SafeString:
        return live_place(f"worker-badge:{worker.pk}", worker_badge(worker_view(worker, ())))

    @display(description=_("last heartbeat"), ordering="last_heartbeat_at")
    def live_beat(self, worker: Worker) -> SafeString:
        return live_place(f"worker-beat:{worker.pk}", worker_beat(worker_view(worker, ())))

    @display(description=_("devices"))
    def devices(self, worker: Worker) -> str:
        return worker_view(worker, ()).devices

    @display(description=_("hardware"))
    def hardware_facts(self, worker: Worker) -> SafeString:
        return SafeString(render_to_string("fleet/_hardware.html", {"hardware": worker.hardware}))

    @admin.action(description=_("Cordon: give them no new replicas"), permissions=["change"])
    def cordon_selected(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        self._set_cordoned(request, workers, cordoned=True)

    @admin.action(description=_("Uncordon: let them have new replicas again"), permissions=["change"])
    def uncordon_selected(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        self._set_cordoned(request, workers, cordoned=False)

    @action(
        description=_("Cordon"),
        permissions=["change"],
        icon="block",
        dialog={
            "title": _("Cordon this worker?"),
            "description": _("It gets no new replicas. Those it has go on answering."),
            "form_submit_text": _("Cordon"),
        },
    )
    def cordon(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        self._set_cordoned(request, Worker.objects.filter(pk=object_id), cordoned=True)
        return leave_dialog(request, reverse("admin:fleet_worker_change", args=[object_id]))

    @action(
        description=_("Uncordon"),
        permissions=["change"],
        icon="check",
        dialog={
            "title": _("Uncordon this worker?"),
            "description": _("It may be given replicas again."),
            "form_submit_text": _("Uncordon"),
        },
    )
    def uncordon(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        self._set_cordoned(request, Worker.objects.filter(pk=object_id), cordoned=False)
        return leave_dialog(request, reverse("admin:fleet_worker_change", args=[object_id]))

    @action(
        description=_("Revoke"),
        permissions=["change"],
        icon="gpp_bad",
        variant=ActionVariant.DANGER,
        dialog={
            "title": _("Revoke this worker for good?"),
            "description": _(
                "Its credential stops working at once and its replicas get no more requests. "
                "To come back, the machine must enrol anew with a join token."
            ),
            "form_submit_text": _("Revoke"),
        },
    )
    def revoke(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        worker = Worker.objects.get(pk=object_id)
        revoke(worker)
        self.log_change(request, worker, gettext("Revoked."))
        messages.success(request, gettext("%(name)s is revoked.") % {"name": worker.name})
        return leave_dialog(request, reverse("admin:fleet_worker_changelist"))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Model | None = None, **kwargs: Any
    ) -> HttpResponse:
        context["live_timeline"] = live_panel(f"timeline:{obj.pk}") if obj else ""
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Only what makes sense for this worker now."""
        worker = Worker.objects.filter(pk=object_id).first()
        if worker is None or worker.revoked_at:
            return []
        senseless = {"fleet_worker_cordon" if worker.cordoned else "fleet_worker_uncordon"}
        if not worker.awaits_approval:
            senseless.add("fleet_worker_approve")
        return [act for act in super().get_actions_detail(request, object_id) if act.action_name not in senseless]

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

    def _set_cordoned(self, request: HttpRequest, workers: QuerySet[Worker], *, cordoned: bool) -> None:
        for worker in workers.filter(revoked_at=None):
            if Worker.objects.filter(pk=worker.pk, cordoned=not cordoned).update(cordoned=cordoned):
                self.log_change(request, worker, gettext("Cordoned.") if cordoned else gettext("Uncordoned."))
        reconcile()
        text = gettext("Cordoned.") if cordoned else gettext("Uncordoned.")
        messages.success(request, text)
