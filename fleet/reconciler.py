"""From what the administrator wants to Replica rows. Run after every change and every few seconds; changes nothing
when all is as it should be. Two that run at once do no harm: a slot is unique, a retirement a conditional update."""

import logging

from django.db import transaction

from fleet.models import Deployment, Replica, Worker
from fleet.models.worker import SECRETS_OF_WORKER
from fleet.placement import Plan, plan
from fleet.placement_input import placed_from, sites_from, wanted_from

logger = logging.getLogger(__name__)


@transaction.atomic
def reconcile() -> Plan:
    """Retire and place what must be. The plan that was carried out: `unplaced` says what could not be, and why."""
    todo = read_plan()
    for retirement in sorted(todo.retire, key=lambda retirement: retirement.replica.replica_id):
        if Replica.objects.filter(pk=retirement.replica.replica_id).retire():
            logger.info("Replica %s is retired: %s.", retirement.replica.replica_id, retirement.reason.label)
    Replica.objects.bulk_create(
        [
            Replica(
                deployment_id=placement.deployment.deployment_id,
                worker_id=placement.worker_id,
                slot=placement.slot,
                spec=placement.deployment.spec,
            )
            for placement in todo.place
        ],
        ignore_conflicts=True,
    )
    # A revoked worker will never tell that it has unloaded.
    Replica.objects.filter(worker__revoked_at__isnull=False, retired_at__isnull=False).delete()
    return todo


def read_plan() -> Plan:
    """What would be done now. Four queries, whatever the size of the fleet."""
    replicas = list(Replica.objects.desired().select_related("worker", "deployment").defer(*SECRETS_OF_WORKER))
    deployments = Deployment.objects.prefetch_related("pins")
    workers = Worker.objects.without_secrets()
    return plan(wanted_from(deployments, replicas), sites_from(workers, replicas), placed_from(replicas))
