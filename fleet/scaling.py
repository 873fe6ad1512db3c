"""What an administrator decides about how much of a deployment runs. Each act does nothing when it was done before."""

from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext

from fleet.errors import ActRefused
from fleet.models import Deployment, Replica, ReplicaQuerySet
from fleet.reconciler import reconcile

MAX_REPLICAS = 64
_SET_ASIDE = 32_767
"""A slot beyond any that a deployment has: whoever holds it goes, as the surplus of a smaller deployment does."""


def start(deployment: Deployment) -> bool:
    """Run it again, with as many replicas as before it was stopped."""
    started = Deployment.objects.filter(pk=deployment.pk, is_stopped=True).update(is_stopped=False)
    reconcile()
    return started == 1


def stop(deployment: Deployment) -> bool:
    """Run it nowhere; the number of replicas is kept. Answers that have begun are finished."""
    stopped = Deployment.objects.filter(pk=deployment.pk, is_stopped=False).update(is_stopped=True)
    reconcile()
    return stopped == 1


def scale(deployment: Deployment, num_replicas: int) -> bool:
    """Run so many, and start it if it was stopped. False: so many it was.

    Raises ActRefused for a number that no deployment may have, and when somebody else has just scaled it.
    """
    if not 1 <= num_replicas <= MAX_REPLICAS:
        raise ActRefused(
            gettext("A deployment has 1 to %(most)d replicas. To run none, stop it.") % {"most": MAX_REPLICAS}
        )
    if num_replicas == deployment.num_wanted:
        return False
    as_read = Deployment.objects.filter(pk=deployment.pk, num_replicas=deployment.num_replicas)
    if not as_read.update(num_replicas=num_replicas, is_stopped=False):
        raise ActRefused(gettext("Somebody else has just scaled it. Look again, and decide anew."))
    reconcile()
    return True


def restart(replicas: ReplicaQuerySet) -> int:
    """Have others take their places, one after the other; how many were not asked to restart already."""
    asked = replicas.desired().filter(restart_requested_at=None).update(restart_requested_at=now())
    reconcile()
    return asked


def stop_one(replica: Replica) -> bool:
    """Run one replica fewer, and this is the one that goes. The last one stops its deployment. False: it has gone."""
    deployment = replica.deployment
    if deployment.num_replicas == 1:
        return stop(deployment)
    with transaction.atomic():
        if not _give_up_slot(replica, last=deployment.num_replicas - 1):
            return False
    reconcile()
    return True


def _give_up_slot(replica: Replica, *, last: int) -> bool:
    """The holder of the last slot moves into this one's, so that what is left are the slots 0 to n-1 again."""
    # The reconciler waits its turn: it must not fill the slot that is vacant for a moment.
    Deployment.objects.locked().get(pk=replica.deployment_id)
    mine = Replica.objects.desired().filter(pk=replica.pk, slot=replica.slot)
    if not mine.update(slot=_SET_ASIDE):
        return False
    fewer = Deployment.objects.filter(pk=replica.deployment_id, num_replicas=last + 1).update(num_replicas=last)
    if not fewer:
        transaction.set_rollback(True)
        return False
    if replica.slot != last:
        Replica.objects.desired().filter(deployment=replica.deployment_id, slot=last).update(slot=replica.slot)
    return True
