"""From what the administrator wants to Replica rows. Run after every change and every few seconds; changes nothing
when all is as it should be. Two that run at once take turns: each locks the deployments first."""

import logging
from collections.abc import Sequence

from django.db import transaction

from fleet import revisions
from fleet.models import Deployment, Replica, Rollout, Worker
from fleet.models.worker import SECRETS_OF_WORKER
from fleet.placement import Placed
from fleet.placement_input import placed_from, sites_from, wanted_from
from fleet.rollout import Plan, failure, plan

logger = logging.getLogger(__name__)


@transaction.atomic
def reconcile() -> Plan:
    """Retire and place what must be. The plan that was carried out: `unplaced` says what could not be, and why.

    Eight queries where nothing is to do, whatever the size of the fleet.
    """
    deployments = list(Deployment.objects.locked().prefetch_related("pins"))
    rollouts = revisions.follow(deployments)
    replicas = list(Replica.objects.select_related("worker", "deployment").defer(*SECRETS_OF_WORKER))
    placed = placed_from(replicas)
    _give_up_failing(deployments, rollouts, placed)
    workers = Worker.objects.without_secrets()
    todo = plan(wanted_from(deployments, replicas, rollouts), sites_from(workers, replicas), placed)
    _carry_out(todo)
    for deployment_id in todo.through & rollouts.keys():
        revisions.complete(rollouts[deployment_id])
    return todo


def _give_up_failing(deployments: Sequence[Deployment], rollouts: dict[int, Rollout], placed: Sequence[Placed]) -> None:
    """Put the version before back where the new one fails; such a rollout leaves `rollouts`."""
    for deployment in deployments:
        rollout = rollouts.get(deployment.pk)
        own = [replica for replica in placed if replica.deployment_id == deployment.pk]
        if rollout and (found := failure(rollout.spec, own)) and revisions.roll_back(deployment, rollout, *found):
            del rollouts[deployment.pk]


def _carry_out(todo: Plan) -> None:
    for retirement in sorted(todo.retire, key=lambda retirement: retirement.replica.replica_id):
        if Replica.objects.filter(pk=retirement.replica.replica_id).retire():
            logger.info("Replica %s is retired: %s.", retirement.replica.replica_id, retirement.reason.label)
    Replica.objects.bulk_create(
        Replica(
            deployment_id=placement.deployment.deployment_id,
            worker_id=placement.worker_id,
            slot=placement.slot,
            spec=placement.deployment.spec,
        )
        for placement in todo.place
    )
    # A revoked worker will never tell that it has unloaded.
    Replica.objects.filter(worker__revoked_at__isnull=False, retired_at__isnull=False).delete()
