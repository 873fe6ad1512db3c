"""Who is a worker, by its credential; and what an administrator decides about that."""

from django.db import transaction

from fleet.errors import CredentialRefused, WorkerRevoked
from fleet.models import Cause, Transition, Worker, WorkerState
from fleet.reconciler import reconcile
from protocol.tokens import TokenKind, hash_token, is_well_formed, make_token


def worker_with_credential(token: str) -> Worker:
    """The worker that this opens the door for; a new credential replaces the old one by being used.

    Raises CredentialRefused, WorkerRevoked.
    """
    if not is_well_formed(token, TokenKind.WORKER_CREDENTIAL):
        raise CredentialRefused("This is not a worker's credential. Enrol with a join token first.")
    shown = hash_token(token)
    worker = Worker.objects.filter(credential_hash=shown).first() or _with_next_credential(shown)
    if worker is None:
        raise CredentialRefused("This credential is unknown here. Enrol again with a join token of this server.")
    if worker.revoked_at:
        raise WorkerRevoked(f"The administrator has revoked the worker “{worker.name}”.")
    return worker


def rotate_credential(worker: Worker) -> bool:
    """Give it another one with its next heartbeat; the old one is good until the new one was used.

    False for a revoked worker, and while one is on its way already.
    """
    credential = make_token(TokenKind.WORKER_CREDENTIAL)
    waiting = Worker.objects.filter(pk=worker.pk, revoked_at=None, next_credential_hash=None)
    return bool(waiting.update(next_credential=credential, next_credential_hash=hash_token(credential)))


def approve(worker: Worker) -> bool:
    """Let it work; False when it was approved, or revoked, before."""
    with transaction.atomic():
        if not Worker.objects.filter(pk=worker.pk, awaits_approval=True, revoked_at=None).update(awaits_approval=False):
            return False
        before, worker.awaits_approval = worker.state, False
        Transition.objects.note(worker, before, worker.state, Cause.ADMINISTRATOR)
    reconcile()
    return True


def revoke(worker: Worker) -> bool:
    """Shut it out for good, and give its replicas to others; False when that was done before."""
    with transaction.atomic():
        if not worker.revoke():
            return False
        Transition.objects.note(worker, worker.state, WorkerState.REVOKED, Cause.ADMINISTRATOR)
    reconcile()
    return True


def _with_next_credential(shown: str) -> Worker | None:
    handed_over = Worker.objects.filter(next_credential_hash=shown)
    handed_over.update(credential_hash=shown, next_credential_hash=None, next_credential=None)
    return Worker.objects.filter(credential_hash=shown).first()
