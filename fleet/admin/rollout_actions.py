"""What an administrator may do with a deployment's versions, one click and a confirmation each."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from fleet import undoing
from fleet.acts import DeploymentAct
from fleet.admin.acting import ActingAdmin, row_of
from fleet.admin.live import back
from fleet.models import Deployment


class RolloutActions(ActingAdmin):
    """Mixed into the deployments' admin."""

    actions_detail: ClassVar = ["roll_back", "try_again"]

    @action(
        description=DeploymentAct.ROLL_BACK.label,
        permissions=["change"],
        icon="undo",
        dialog={
            "title": _("Go back to the version before?"),
            "description": _("Its replicas take over again, one after the other; no request is lost."),
            "form_submit_text": _("Roll back"),
        },
    )
    def roll_back(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        deployment, person = row_of(Deployment, object_id), _person(request)
        self.act(request, deployment, gettext("Rolled back."), lambda: undoing.undo(deployment, person))
        return back(request, reverse("admin:fleet_deployment_change", args=[object_id]))

    @action(
        description=DeploymentAct.TRY_AGAIN.label,
        permissions=["change"],
        icon="redo",
        dialog={
            "title": _("Try the version again that was rolled back?"),
            "description": _("The version that runs goes on answering until the other has proven itself."),
            "form_submit_text": _("Try again"),
        },
    )
    def try_again(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        deployment, person = row_of(Deployment, object_id), _person(request)
        self.act(request, deployment, gettext("Tried again."), lambda: undoing.retry(deployment, person))
        return back(request, reverse("admin:fleet_deployment_change", args=[object_id]))


def _person(request: HttpRequest) -> AbstractBaseUser:
    """Admin lets nobody else in."""
    assert isinstance(request.user, AbstractBaseUser)
    return request.user
