"""What an administrator may decide about a worker, one click and a confirmation each."""

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from fleet import maintenance
from fleet.acts import WorkerAct, worker_acts
from fleet.admin.acting import ActingAdmin, DrainForm, MaintenanceForm, row_of
from fleet.admin.live import back, leave_dialog
from fleet.errors import ActRefused
from fleet.membership import revoke
from fleet.models import Worker


class WorkerActions(ActingAdmin):
    """Mixed into the workers' admin."""

    @admin.action(description=_("Cordon: give them no new replicas"), permissions=["change"])
    def cordon_selected(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        for worker in workers:
            self.act(request, worker, gettext("Cordoned."), partial(maintenance.cordon, worker))

    @admin.action(description=_("Uncordon: let them have new replicas again"), permissions=["change"])
    def uncordon_selected(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        for worker in workers:
            self.act(request, worker, gettext("Back in service."), partial(maintenance.uncordon, worker))

    @action(description=WorkerAct.ADD_MODEL.label, permissions=["deploy"], icon="add")
    def add_model(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(f"{reverse('admin:fleet_deployment_add')}?pinned_workers={object_id}")

    @action(
        description=WorkerAct.CORDON.label,
        permissions=["change"],
        icon="block",
        dialog={
            "title": _("Cordon this worker?"),
            "description": _("It gets no new replicas. Those it has go on answering."),
            "form_submit_text": _("Cordon"),
        },
    )
    def cordon(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        worker = row_of(Worker, object_id)
        self.act(request, worker, gettext("Cordoned."), lambda: maintenance.cordon(worker))
        return _back(request, object_id)

    @action(
        description=WorkerAct.UNCORDON.label,
        permissions=["change"],
        icon="check",
        dialog={
            "title": _("Return this worker to service?"),
            "description": _("It may be given replicas again."),
            "form_submit_text": _("Return to service"),
        },
    )
    def uncordon(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        worker = row_of(Worker, object_id)
        self.act(request, worker, gettext("Back in service."), lambda: maintenance.uncordon(worker))
        return _back(request, object_id)

    @action(
        description=WorkerAct.DRAIN.label,
        permissions=["change"],
        icon="output",
        dialog={
            "title": _("Drain this worker?"),
            "description": _(
                "Its replicas move to other workers; each goes on answering until another has taken over. "
                "Then the worker is idle, until it is returned to service."
            ),
            "form_class": DrainForm,
            "form_submit_text": _("Drain"),
        },
    )
    def drain(self, request: HttpRequest, form: DrainForm, object_id: str) -> HttpResponse:
        worker, may_stop = row_of(Worker, object_id), form.cleaned_data.get("may_stop", False)
        self.act(request, worker, gettext("Drains."), lambda: maintenance.drain(worker, may_stop=may_stop))
        return _back(request, object_id)

    @action(
        description=WorkerAct.MAINTAIN.label,
        permissions=["change"],
        icon="build",
        dialog={
            "title": _("Take this worker out for maintenance?"),
            "description": _("Its replicas move to other workers, and the remark is shown wherever the worker is."),
            "form_class": MaintenanceForm,
            "form_submit_text": _("Begin"),
        },
    )
    def maintain(self, request: HttpRequest, form: MaintenanceForm, object_id: str) -> HttpResponse:
        worker, given = row_of(Worker, object_id), form.cleaned_data
        done = gettext("Under maintenance: %(remark)s") % given
        may_stop = given.get("may_stop", False)
        self.act(request, worker, done, lambda: maintenance.maintain(worker, given["remark"], may_stop=may_stop))
        return _back(request, object_id)

    @action(
        description=WorkerAct.REMOVE.label,
        permissions=["delete"],
        icon="delete",
        variant=ActionVariant.DANGER,
        dialog={
            "title": _("Remove this worker?"),
            "description": _(
                "Only when it is drained or lost. Its credential stops working and it disappears from here; what it "
                "has served stays in the usage. Stop its daemon: with a usable join token it would join anew."
            ),
            "form_submit_text": _("Remove"),
        },
    )
    def remove(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        worker = row_of(Worker, object_id)
        try:
            maintenance.remove(worker)
        except ActRefused as refused:
            messages.error(request, str(refused))
            return _back(request, object_id)
        self.log_deletions(request, [Worker(pk=object_id, name=worker.name)])
        messages.success(request, gettext("%(name)s is removed.") % {"name": worker.name})
        return leave_dialog(request, reverse("admin:fleet_worker_changelist"))

    @action(
        description=WorkerAct.REVOKE.label,
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
        worker = row_of(Worker, object_id)
        self.act(request, worker, gettext("Revoked."), lambda: revoke(worker))
        return leave_dialog(request, reverse("admin:fleet_worker_changelist"))

    def has_deploy_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("fleet.add_deployment")

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Only what makes sense for this worker now."""
        worker = self.get_object(request, object_id)
        if worker is None:
            return []
        is_revoked, awaits = worker.revoked_at is not None, worker.awaits_approval
        sensible = worker_acts(worker.duty, is_revoked=is_revoked, awaits_approval=awaits)
        names = {f"fleet_worker_{act}" for act in sensible}
        return [act for act in super().get_actions_detail(request, object_id) if act.action_name in names]


def _back(request: HttpRequest, object_id: str) -> HttpResponse:
    return back(request, reverse("admin:fleet_worker_change", args=[object_id]))
