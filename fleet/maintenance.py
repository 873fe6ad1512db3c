"""What an administrator decides about a worker's duty. See Duty: each act does nothing when it was done before."""

from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now
from django.utils.translation import gettext

from fleet.errors import ActRefused
from fleet.membership import revoke
from fleet.models import Cause, Replica, Transition, Worker, WorkerState
from fleet.placement_input import read_prospects
from fleet.reconciler import reconcile


def cordon(worker: Worker) -> bool:
    """Give it no new replicas; those it has stay."""
    return _decide(worker, Worker.objects.filter(cordoned=False), cordoned=True)


def uncordon(worker: Worker) -> bool:
    """Back to service: whatever was decided before, it may have replicas again."""
    rows = Worker.objects.filter(cordoned=True)
    return _decide(worker, rows, cordoned=False, drain_requested_at=None, maintenance_remark="")


def drain(worker: Worker, *, may_stop: bool = False) -> bool:
    """Move everything off it. What runs there goes on answering until another worker has taken over.

    Raises ActRefused when something has no other place, unless it may stop.
    """
    _refuse_to_strand(worker, may_stop=may_stop)
    rows = Worker.objects.filter(drain_requested_at=None)
    return _decide(worker, rows, cordoned=True, drain_requested_at=now())


def maintain(worker: Worker, remark: str, *, may_stop: bool = False) -> bool:
    """Drain it, and show everywhere why. Raises ActRefused as drain does, and without a remark."""
    if not remark.strip():
        raise ActRefused(gettext("Say in the remark what is done to the machine: others read it."))
    _refuse_to_strand(worker, may_stop=may_stop)
    rows = Worker.objects.exclude(maintenance_remark=remark)
    since = worker.drain_requested_at or now()
    return _decide(worker, rows, cordoned=True, drain_requested_at=since, maintenance_remark=remark)


def remove(worker: Worker) -> None:
    """Shut it out and forget it; what it has served stays in the usage. Raises ActRefused while it is of use."""
    if worker.state not in (WorkerState.REVOKED, WorkerState.SILENT) and worker.replicas.exists():
        raise ActRefused(
            gettext("%(worker)s still runs replicas. Drain it first, and remove it when it is empty.")
            % {"worker": worker.name}
        )
    if pinned := worker.pinned_deployments.select_related("model"):
        models = ", ".join(sorted({deployment.model.name for deployment in pinned}))
        raise ActRefused(
            gettext("Deployments are pinned to %(worker)s: %(models)s. Pin them elsewhere, or delete them, first.")
            % {"worker": worker.name, "models": models}
        )
    # Its replicas are given to others before their rows go with it.
    revoke(worker)
    worker.delete()


def stranded(worker: Worker) -> list[str]:
    """Models that run there and have no other place: they stop, or have fewer replicas, when it is emptied."""
    prospects, wanted = read_prospects()
    others = [site for site in prospects.sites if site.worker_id != str(worker.pk)]
    here = Replica.objects.desired().filter(worker=worker).select_related("deployment__model")
    rows = {replica.deployment_id: replica.deployment.model.name for replica in here}
    return sorted(
        {
            model
            for deployment_id, model in rows.items()
            if all(prospects.refusal(wanted[deployment_id], site) for site in others)
        }
    )


def _refuse_to_strand(worker: Worker, *, may_stop: bool) -> None:
    if may_stop or worker.drain_requested_at:
        return
    if models := stranded(worker):
        raise ActRefused(
            gettext("No other worker can take over: %(models)s. Make room elsewhere, or confirm that they stop.")
            % {"models": ", ".join(models)}
        )


def _decide(worker: Worker, rows: QuerySet[Worker], **decision: object) -> bool:
    """`rows` are those that the decision still changes. False: it had been taken, or the worker is revoked."""
    with transaction.atomic():
        if not rows.filter(pk=worker.pk, revoked_at=None).update(**decision):
            return False
        after = Worker.objects.get(pk=worker.pk)
        Transition.objects.note(worker, worker.duty, after.duty, Cause.ADMINISTRATOR, detail=after.maintenance_remark)
    reconcile()
    return True
