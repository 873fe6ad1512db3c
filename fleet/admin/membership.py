"""What an administrator decides about a worker's being a worker."""

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from audit.admin_base import AuditedAdmin
from fleet.acts import WorkerAct
from fleet.admin.acting import row_of
from fleet.admin.live import back
from fleet.membership import approve, rotate_credential
from fleet.models import Worker


class MembershipActions(AuditedAdmin):
    """For the worker's own page."""

    @action(
        description=WorkerAct.APPROVE.label,
        permissions=["change"],
        icon="verified",
        variant=ActionVariant.PRIMARY,
        dialog={
            "title": _("Approve this worker?"),
            "description": _("From now on it may be given replicas, and the people's requests that go to them."),
            "form_submit_text": _("Approve"),
        },
    )
    def approve(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        worker = row_of(Worker, object_id)
        if approve(worker):
            self.log_change(request, worker, gettext("Approved."))
            messages.success(request, gettext("%(name)s is approved.") % {"name": worker.name})
        return back(request, reverse("admin:fleet_worker_change", args=[object_id]))

    @action(
        description=WorkerAct.ROTATE_CREDENTIAL.label,
        permissions=["change"],
        icon="key",
        dialog={
            "title": _("Give this worker a new credential?"),
            "description": _(
                "It is handed over with the next heartbeat, and the old one stops working as soon as the new one was "
                "used. Nothing is interrupted."
            ),
            "form_submit_text": _("Rotate"),
        },
    )
    def rotate_credential(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        worker = row_of(Worker, object_id)
        if rotate_credential(worker):
            self.log_change(request, worker, gettext("Credential rotated."))
            messages.success(request, gettext("The worker gets a new credential with its next heartbeat."))
        else:
            messages.warning(request, gettext("A new credential is on its way to this worker already."))
        return back(request, reverse("admin:fleet_worker_change", args=[object_id]))
