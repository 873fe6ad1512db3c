"""What happened in the fleet: each change of state, with its cause."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from fleet.models.replica import Replica
from fleet.models.worker import Worker

_LONGEST_DETAIL = 500


class Cause(models.TextChoices):
    """Why a state changed, as far as this server can know."""

    JOINED = "joined", _("it joined")
    HEARTBEAT = "heartbeat", _("a heartbeat came")
    SILENCE = "silence", _("no heartbeat came")
    PROBE_FAILED = "probe_failed", _("it did not answer at its address")
    PROBE_ANSWERED = "probe_answered", _("it answers at its address again")
    DAEMON_STARTED = "daemon_started", _("its daemon was started")
    DAEMON_STOPS = "daemon_stops", _("its daemon was told to stop")
    ADMINISTRATOR = "administrator", _("an administrator decided it")
    REPORTED = "reported", _("its worker says so")
    NOT_REPORTED = "not_reported", _("its worker no longer reports it")


class TransitionQuerySet(models.QuerySet["Transition"]):
    def note(self, worker: Worker, before: str, after: str, cause: Cause, *, detail: str = "") -> "Transition":
        """A worker's own change of state."""
        return self.create(worker=worker, before=before, after=after, cause=cause, detail=detail[:_LONGEST_DETAIL])


class Transition(models.Model):
    """A worker, or a replica on it, went from one state to another. Written where the state is moved, never changed,
    pruned by age and number."""

    UNLOADED = "unloaded"
    """What a retired replica becomes when its worker no longer has it."""

    at = models.DateTimeField(_("at"), default=now)
    worker = models.ForeignKey(Worker, models.CASCADE, related_name="transitions", verbose_name=_("worker"))
    replica_id = models.UUIDField(null=True)
    """Of a replica, which may be gone; None: it is the worker's own state."""
    model = models.CharField(_("model"), max_length=100, blank=True)
    before = models.CharField(_("before"), max_length=16, blank=True)
    after = models.CharField(_("after"), max_length=16)
    cause = models.CharField(_("cause"), max_length=16, choices=Cause)
    detail = models.CharField(_("detail"), max_length=_LONGEST_DETAIL, blank=True)

    objects = TransitionQuerySet.as_manager()

    class Meta:
        verbose_name = _("transition")
        verbose_name_plural = _("transitions")
        ordering: ClassVar = ["-at", "-pk"]
        indexes: ClassVar = [models.Index(fields=["worker", "-at"], name="timeline_of_a_worker")]

    def __str__(self) -> str:
        return f"{self.model or self.worker}: {self.before} → {self.after}"

    @classmethod
    def of_replica(cls, replica: Replica, after: str, cause: Cause, *, detail: str = "") -> "Transition":
        """Not saved yet. `replica` is in the state that it leaves."""
        return cls(
            worker_id=replica.worker_id,
            replica_id=uuid.UUID(str(replica.pk)),
            model=replica.deployment.model.name,
            before=replica.phase,
            after=after,
            cause=cause,
            detail=detail[:_LONGEST_DETAIL],
        )
