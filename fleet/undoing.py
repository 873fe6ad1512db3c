"""What an administrator decides about a version of a deployment: to go back, or to try once more."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.utils.translation import gettext

from fleet.errors import ActRefused
from fleet.models import Deployment, RollbackCause, Rollout, RolloutPhase
from fleet.reconciler import reconcile
from fleet.revisions import roll_back


def undo(deployment: Deployment, by: AbstractBaseUser | None) -> bool:
    """Go back by one version: give up the rollout that runs, or undo the one in force by another rollout.

    False: somebody was faster. Raises ActRefused if there is no version before.
    """
    with transaction.atomic():
        row = Deployment.objects.locked().get(pk=deployment.pk)
        rollout = Rollout.objects.current().filter(deployment=row).order_by("-revision").first()
        if rollout is None or rollout.previous_spec is None:
            raise ActRefused(gettext("There is no version before this one to go back to."))
        if rollout.is_running:
            has_changed = roll_back(
                row, rollout, RollbackCause.ADMINISTRATOR, str(by or gettext("from the command line"))
            )
        else:
            has_changed = row.restore(rollout.previous_spec, by=by)
    reconcile()
    return has_changed


def retry(deployment: Deployment, by: AbstractBaseUser | None) -> bool:
    """Roll out once more what was rolled back last. Raises ActRefused if that is not what happened last."""
    with transaction.atomic():
        row = Deployment.objects.locked().get(pk=deployment.pk)
        latest = Rollout.objects.filter(deployment=row).order_by("-revision").first()
        if latest is None or latest.phase != RolloutPhase.ROLLED_BACK:
            raise ActRefused(gettext("Its last version was not rolled back, so there is nothing to try again."))
        has_changed = row.restore(latest.spec, by=by)
    reconcile()
    return has_changed
