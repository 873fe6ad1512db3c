"""What an administrator decides about who is a worker."""

from django.db import transaction

from fleet.models import Cause, Transition, Worker, WorkerState
from fleet.reconciler import reconcile


def revoke(worker: Worker) -> bool:
    """Shut it out for good, and give its replicas to others; False when that was done before."""
    with transaction.atomic():
        if not worker.revoke():
            return False
        Transition.objects.note(worker, worker.state, WorkerState.REVOKED, Cause.ADMINISTRATOR)
    reconcile()
    return True
