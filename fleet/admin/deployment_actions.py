"""What an administrator may do with a deployment or one of its replicas, one click and a confirmation each."""

from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from fleet import scaling
from fleet.acts import DeploymentAct, ReplicaAct, deployment_acts
from fleet.admin.acting import ActingAdmin, ScaleForm, row_of
from fleet.admin.live import back, leave_dialog
from fleet.models import Deployment, Replica, Rollout


class DeploymentActions(ActingAdmin):
    """Mixed into the deployments' admin."""

    actions: ClassVar = ["start_selected", "stop_selected"]
    actions_detail: ClassVar = ["start", "stop", "scale", "restart"]

    @admin.action(description=_("Start"), permissions=["change"])
    def start_selected(self, request: HttpRequest, deployments: QuerySet[Deployment]) -> None:
        for one in deployments:
            self.act(request, one, gettext("Started."), partial(scaling.start, one))

    @admin.action(description=_("Stop: run them nowhere, and keep the number of replicas"), permissions=["change"])
    def stop_selected(self, request: HttpRequest, deployments: QuerySet[Deployment]) -> None:
        for one in deployments:
            self.act(request, one, gettext("Stopped."), partial(scaling.stop, one))

    @action(
        description=DeploymentAct.START.label,
        permissions=["change"],
        icon="play_arrow",
        dialog={
            "title": _("Start this deployment?"),
            "description": _("It runs again with as many replicas as before."),
            "form_submit_text": _("Start"),
        },
    )
    def start(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        deployment = row_of(Deployment, object_id)
        self.act(request, deployment, gettext("Started."), lambda: scaling.start(deployment))
        return _to_deployment(request, object_id)

    @action(
        description=DeploymentAct.STOP.label,
        permissions=["change"],
        icon="stop",
        dialog={
            "title": _("Stop this deployment?"),
            "description": _(
                "Answers that have begun are finished; new requests go to the model’s other deployments, or are "
                "refused. The number of replicas is kept for the next start."
            ),
            "form_submit_text": _("Stop"),
        },
    )
    def stop(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        deployment = row_of(Deployment, object_id)
        self.act(request, deployment, gettext("Stopped."), lambda: scaling.stop(deployment))
        return _to_deployment(request, object_id)

    @action(
        description=DeploymentAct.SCALE.label,
        permissions=["change"],
        icon="stacks",
        dialog={
            "title": _("How many replicas?"),
            "description": _("Those too many finish their answers first."),
            "form_class": ScaleForm,
            "form_submit_text": _("Scale"),
        },
    )
    def scale(self, request: HttpRequest, form: ScaleForm, object_id: str) -> HttpResponse:
        deployment, number = row_of(Deployment, object_id), form.cleaned_data["num_replicas"]
        done = gettext("Scaled to %(count)d.") % {"count": number}
        self.act(request, deployment, done, lambda: scaling.scale(deployment, number))
        return _to_deployment(request, object_id)

    @action(
        description=DeploymentAct.RESTART.label,
        permissions=["change"],
        icon="restart_alt",
        dialog={
            "title": _("Restart all replicas?"),
            "description": _("One after the other; each goes on answering until another has taken its place."),
            "form_submit_text": _("Restart"),
        },
    )
    def restart(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        deployment = row_of(Deployment, object_id)
        replicas = Replica.objects.filter(deployment=deployment)
        self.act(request, deployment, gettext("Restarts."), lambda: scaling.restart(replicas))
        return _to_deployment(request, object_id)

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Only what makes sense for this deployment now."""
        deployment = self.get_object(request, object_id)
        if deployment is None:
            return []
        last = Rollout.objects.filter(deployment=deployment).order_by("-revision").first()
        sensible = deployment_acts(
            is_stopped=deployment.is_stopped,
            last_phase=last.phase if last else "",
            has_version_before=last is not None and last.previous_spec is not None,
        )
        names = {f"fleet_deployment_{act}" for act in sensible}
        return [act for act in super().get_actions_detail(request, object_id) if act.action_name in names]


class ReplicaActions(ActingAdmin):
    """Mixed into the replicas' admin: whoever may change a deployment may do this to one of its replicas."""

    actions_detail: ClassVar = ["restart", "stop_one"]

    @action(
        description=ReplicaAct.RESTART.label,
        permissions=["operate"],
        icon="restart_alt",
        dialog={
            "title": _("Restart this replica?"),
            "description": _("Another takes its place. It goes on answering until the other can."),
            "form_submit_text": _("Restart"),
        },
    )
    def restart(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        if replica := _replica(request, object_id):
            rows = Replica.objects.filter(pk=replica.pk)
            self.act(request, replica, gettext("Restarts."), lambda: scaling.restart(rows))
        return _leave(request, object_id)

    @action(
        description=ReplicaAct.STOP.label,
        permissions=["operate"],
        icon="stop",
        dialog={
            "title": _("Stop this replica?"),
            "description": _(
                "The deployment has one replica fewer, and this is the one that goes, after the answers it has begun. "
                "The last one stops the deployment."
            ),
            "form_submit_text": _("Stop"),
        },
    )
    def stop_one(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        if replica := _replica(request, object_id):
            self.act(request, replica, gettext("Stopped."), lambda: scaling.stop_one(replica))
        return _leave(request, object_id)

    def has_operate_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("fleet.change_deployment")


def _replica(request: HttpRequest, object_id: str) -> Replica | None:
    replica = Replica.objects.desired().select_related("deployment__model", "worker").filter(pk=object_id).first()
    if replica is None:
        messages.error(request, gettext("This replica has gone; look at the list for the one in its place."))
    return replica


def _leave(request: HttpRequest, object_id: str) -> HttpResponse:
    """Back, but not to the replica's own page, which goes with it."""
    replicas = reverse("admin:fleet_replica_changelist")
    is_its_own = reverse("admin:fleet_replica_change", args=[object_id]) in request.headers.get("HX-Current-URL", "")
    return leave_dialog(request, replicas) if is_its_own else back(request, replicas)


def _to_deployment(request: HttpRequest, object_id: str) -> HttpResponse:
    return back(request, reverse("admin:fleet_deployment_change", args=[object_id]))
