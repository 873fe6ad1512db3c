"""What does run: a deployment's placements on workers."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from fleet.models.deployment import Deployment
from fleet.models.worker import Worker
from protocol.control import ReplicaPhase


class ReplicaQuerySet(models.QuerySet["Replica"]):
    def desired(self) -> "ReplicaQuerySet":
        """Those that should run."""
        return self.filter(retired_at=None)

    def retire(self) -> int:
        """Ask for these to be drained and unloaded; how many were not retired already."""
        return self.desired().update(retired_at=now())


class Replica(models.Model):
    """One placement of a deployment on a worker. The row's existence is desired state; the rest is what was observed.

    A deployment of n replicas has the slots 0 to n-1, each held by one row that is not retired; by two while one is
    being replaced.
    `phase` is the worker's (see ReplicaPhase); the reconciler makes rows and sets `retired_at`, and a retired row
    goes when the worker no longer reports it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    deployment = models.ForeignKey(Deployment, models.CASCADE, related_name="replicas", verbose_name=_("deployment"))
    worker = models.ForeignKey(Worker, models.CASCADE, related_name="replicas", verbose_name=_("worker"))
    slot = models.PositiveSmallIntegerField(default=0, editable=False)
    spec = models.JSONField(default=dict, editable=False)
    phase = models.CharField(
        _("phase"), max_length=16, default=ReplicaPhase.PENDING, choices=[(p.value, p.value) for p in ReplicaPhase]
    )
    progress = models.FloatField(_("progress"), default=0.0)
    downloaded_bytes = models.PositiveBigIntegerField(_("downloaded"), default=0)
    download_bytes = models.PositiveBigIntegerField(_("to download in all"), default=0)
    """Of the whole model, while it comes from a hub; 0: it does not."""
    error = models.TextField(_("error"), blank=True)
    num_running = models.PositiveIntegerField(_("running"), default=0)
    num_waiting = models.PositiveIntegerField(_("waiting"), default=0)
    num_restarts = models.PositiveIntegerField(_("restarts"), default=0)
    memory_bytes = models.PositiveBigIntegerField(_("memory"), default=0)
    num_out_of_memory = models.PositiveIntegerField(_("steps out of memory"), default=0, editable=False)
    """Of its engine, since that was started."""
    max_step_tokens = models.PositiveIntegerField(_("tokens a step"), null=True, editable=False)
    num_answers = models.PositiveIntegerField(_("answers"), default=0)
    num_errors = models.PositiveIntegerField(_("failed answers"), default=0)
    ready_at = models.DateTimeField(_("ready"), null=True)
    """Since when it has been READY without a break; to sleep and to wake is none."""
    context_length = models.PositiveIntegerField(_("context length"), null=True)
    capabilities = models.JSONField(_("capabilities"), default=list)
    adapters = models.JSONField(_("adapters"), default=dict, editable=False)
    """Those that its worker has tried, each with why it cannot be used; empty: it answers."""
    observed_at = models.DateTimeField(_("observed"), null=True)
    restart_requested_at = models.DateTimeField(_("restart asked for"), null=True, editable=False)
    """By an administrator: another takes its place."""
    retired_at = models.DateTimeField(_("retired"), null=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = ReplicaQuerySet.as_manager()

    class Meta:
        verbose_name = _("replica")
        verbose_name_plural = _("replicas")
        ordering: ClassVar = ["created_at"]

    def __str__(self) -> str:
        return f"{self.deployment.model} @ {self.worker}"
