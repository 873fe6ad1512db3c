"""Rule: what an administrator may sensibly do with a worker or a deployment as it is now. Pages offer nothing else.

An act's value is the name under which admin knows it.
"""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from fleet.models import Duty, RolloutPhase


class WorkerAct(TextChoices):
    APPROVE = "approve", _("Approve")
    ADD_MODEL = "add_model", _("Add a model")
    CORDON = "cordon", _("Cordon")
    UNCORDON = "uncordon", _("Return to service")
    DRAIN = "drain", _("Drain")
    MAINTAIN = "maintain", _("Maintenance")
    ROTATE_CREDENTIAL = "rotate_credential", _("Rotate credential")
    REMOVE = "remove", _("Remove")
    REVOKE = "revoke", _("Revoke")

    @property
    def view(self) -> str:
        return f"admin:fleet_worker_{self.value}"

    @property
    def has_dialog(self) -> bool:
        """Whether it is confirmed in a dialog; else it leads to a page of its own."""
        return self is not WorkerAct.ADD_MODEL

    @property
    def is_rare(self) -> bool:
        """Needed so seldom that only the worker's own page offers it."""
        return self in (WorkerAct.ROTATE_CREDENTIAL, WorkerAct.REVOKE)


class DeploymentAct(TextChoices):
    START = "start", _("Start")
    STOP = "stop", _("Stop")
    SCALE = "scale", _("Scale")
    RESTART = "restart", _("Restart")
    ROLL_BACK = "roll_back", _("Roll back")
    TRY_AGAIN = "try_again", _("Try again")

    @property
    def view(self) -> str:
        return f"admin:fleet_deployment_{self.value}"

    @property
    def has_dialog(self) -> bool:
        return True


class ReplicaAct(TextChoices):
    RESTART = "restart", _("Restart")
    STOP = "stop_one", _("Stop here")

    @property
    def view(self) -> str:
        return f"admin:fleet_replica_{self.value}"

    @property
    def has_dialog(self) -> bool:
        return True


_SENSELESS = {
    Duty.IN_SERVICE: {WorkerAct.UNCORDON},
    Duty.CORDONED: {WorkerAct.CORDON, WorkerAct.ADD_MODEL},
    Duty.EMPTIED: {WorkerAct.CORDON, WorkerAct.DRAIN, WorkerAct.ADD_MODEL},
    Duty.MAINTENANCE: {WorkerAct.CORDON, WorkerAct.DRAIN, WorkerAct.ADD_MODEL},
}


def worker_acts(duty: Duty, *, is_revoked: bool, awaits_approval: bool) -> tuple[WorkerAct, ...]:
    """In the order in which they are offered."""
    if is_revoked:
        return (WorkerAct.REMOVE,)
    senseless = _SENSELESS[duty] | (set() if awaits_approval else {WorkerAct.APPROVE})
    return tuple(act for act in WorkerAct if act not in senseless)


def deployment_acts(*, is_stopped: bool, last_phase: str, has_version_before: bool) -> tuple[DeploymentAct, ...]:
    """`last_phase`: the last rollout's; empty if there was none. `has_version_before`: whether that replaced one."""
    is_taken_back = last_phase == RolloutPhase.ROLLED_BACK
    senseless = {DeploymentAct.STOP, DeploymentAct.RESTART} if is_stopped else {DeploymentAct.START}
    if is_taken_back or not has_version_before:
        senseless.add(DeploymentAct.ROLL_BACK)
    if not is_taken_back:
        senseless.add(DeploymentAct.TRY_AGAIN)
    return tuple(act for act in DeploymentAct if act not in senseless)
