"""From what the administrator wants to Replica rows. Run after every change and every few seconds; changes nothing
when all is as it should be. Two that run at once do no harm: a slot is unique, a retirement a conditional update."""

import logging

from django.conf import settings
from django.db import transaction
from django.utils.timezone import now

from fleet.models import Deployment, Replica, Worker, WorkerState
from fleet.placement import Placed, Plan, Refusal, Site, Wanted, plan

logger = logging.getLogger(__name__)


@transaction.atomic
def reconcile() -> Plan:
    """Retire and place what must be. The plan that was carried out: `unplaced` says what could not be, and why."""
    todo = plan(_wanted(), _sites(), _placed())
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


def _wanted() -> list[Wanted]:
    return [
        Wanted(
            deployment_id=deployment.pk,
            num_replicas=deployment.num_replicas,
            spec=deployment.spec,
            pinned_to=str(deployment.worker_id) if deployment.worker_id else None,
        )
        for deployment in Deployment.objects.order_by("pk")
    ]


def _sites() -> list[Site]:
    return [_site(worker) for worker in Worker.objects.all()]


def _site(worker: Worker) -> Site:
    is_lost_for_long = worker.lost_at is not None and now() - worker.lost_at > settings.MOVE_AFTER
    return Site(
        worker_id=str(worker.pk),
        name=worker.name,
        refusal=_refusal(worker),
        is_leaving=worker.is_draining or is_lost_for_long,
    )


def _refusal(worker: Worker) -> Refusal | None:
    if worker.state is not WorkerState.ALIVE:
        return Refusal(worker.state.value)
    return Refusal.CORDONED if worker.cordoned else None


def _placed() -> list[Placed]:
    return [
        Placed(
            replica_id=str(replica.pk),
            deployment_id=replica.deployment_id,
            slot=replica.slot,
            worker_id=str(replica.worker_id),
            spec=replica.spec,
        )
        for replica in Replica.objects.desired().order_by("created_at")
    ]
