"""What an administrator may do with a deployment's versions, one click and a confirmation each."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from fleet import undoing
from fleet.admin.acting import ActingAdmin
from fleet.admin.live import leave_dialog
from fleet.models import Deployment, Rollout, RolloutPhase


class RolloutActions(ActingAdmin):
    """Mixed into the deployments' admin."""

    actions_detail: ClassVar = ["roll_back", "try_again"]

    @action(
        description=_("Roll back"),
        permissions=["change"],
        icon="undo",
        dialog={
            "title": _("Go back to the version before?"),
            "description": _("Its replicas take over again, one after the other; no request is lost."),
            "form_submit_text": _("Roll back"),
        },
    )
    def roll_back(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        deployment, person = Deployment.objects.get(pk=object_id), _person(request)
        self.act(request, deployment, gettext("Rolled back."), lambda: undoing.undo(deployment, person))
        return leave_dialog(request, reverse("admin:fleet_deployment_change", args=[object_id]))

    @action(
        description=_("Try again"),
        permissions=["change"],
        icon="redo",
        dialog={
            "title": _("Try the version again that was rolled back?"),
            "description": _("The version that runs goes on answering until the other has proven itself."),
            "form_submit_text": _("Try again"),
        },
    )
    def try_again(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        deployment, person = Deployment.objects.get(pk=object_id), _person(request)
        self.act(request, deployment, gettext("Tried again."), lambda: undoing.retry(deployment, person))
        return leave_dialog(request, reverse("admin:fleet_deployment_change", args=[object_id]))

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Only what makes sense for this deployment now."""
        last = Rollout.objects.filter(deployment_id=int(object_id)).order_by("-revision").first()
        is_taken_back = last is not None and last.phase == RolloutPhase.ROLLED_BACK
        can_undo = last is not None and last.previous_spec is not None and not is_taken_back
        possible = {"roll_back": can_undo, "try_again": is_taken_back}
        senseless = {f"fleet_deployment_{name}" for name, is_possible in possible.items() if not is_possible}
        return [act for act in super().get_actions_detail(request, object_id) if act.action_name not in senseless]


def _person(request: HttpRequest) -> AbstractBaseUser:
    """Admin lets nobody else in."""
    assert isinstance(request.user, AbstractBaseUser)
    return request.user
