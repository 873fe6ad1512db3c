"""A machine that runs models, and the state it is in."""

import uuid
from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from fleet.encryption import EncryptedTextField


class WorkerState(models.TextChoices):
    """A worker's state, computed from its last heartbeat and what the administrator decided; never stored.

    enrol ──▶ ALIVE ◀── heartbeat ──▶ DRAINING (the worker says so, on SIGTERM)
                │ ▲
    3 intervals │ │ heartbeat
    of silence  ▼ │
               SILENT                 REVOKED: the administrator's, final
    """

    ALIVE = "alive", _("alive")
    DRAINING = "draining", _("draining")
    SILENT = "silent", _("silent")
    REVOKED = "revoked", _("revoked")


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self) -> "WorkerQuerySet":
        """Heard of within three heartbeats and not revoked."""
        return self.filter(revoked_at=None, last_heartbeat_at__gte=now() - settings.SILENT_AFTER)

    def schedulable(self) -> "WorkerQuerySet":
        """Alive, and neither cordoned nor draining: may be given new replicas."""
        return self.alive().filter(cordoned=False, is_draining=False)

    def revoke(self) -> int:
        """Shut these workers out for good; how many were not so already."""
        return self.filter(revoked_at=None).update(revoked_at=now())


class Worker(models.Model):
    """A machine's model daemon. The row is made by enrolment and kept true by heartbeats."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=100)
    address = models.URLField(_("address"), max_length=200, help_text=_("As the worker advertised it."))
    pinned_ip = models.GenericIPAddressField(_("IP address"), help_text=_("Resolved once, at enrolment."))
    credential_hash = models.CharField(max_length=64, unique=True, editable=False)
    gateway_secret = EncryptedTextField(editable=False)
    join_token = models.ForeignKey(
        "JoinToken", models.SET_NULL, null=True, related_name="workers", editable=False, verbose_name=_("join token")
    )
    cordoned = models.BooleanField(_("cordoned"), default=False, help_text=_("Gets no new replicas."))
    is_draining = models.BooleanField(_("draining"), default=False, editable=False)
    boot_id = models.CharField(max_length=64, blank=True, editable=False)
    sequence = models.PositiveBigIntegerField(default=0, editable=False)
    hardware = models.JSONField(_("hardware"), default=dict, editable=False)
    software_version = models.CharField(_("version"), max_length=32, blank=True, editable=False)
    enrolled_at = models.DateTimeField(_("enrolled"), auto_now_add=True)
    last_heartbeat_at = models.DateTimeField(_("last heartbeat"), null=True, editable=False, db_index=True)
    lost_at = models.DateTimeField(null=True, editable=False)
    """When this server noticed the silence. Not the state, but the clock that moving its replicas waits for: a server
    that was away itself finds everybody silent, and must give them time to call again."""
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        ordering: ClassVar = ["name", "enrolled_at"]

    def __str__(self) -> str:
        return self.name

    @property
    def heartbeat_age(self) -> timedelta | None:
        return now() - self.last_heartbeat_at if self.last_heartbeat_at else None

    @property
    def state(self) -> WorkerState:
        if self.revoked_at:
            return WorkerState.REVOKED
        if self.heartbeat_age is None or self.heartbeat_age > settings.SILENT_AFTER:
            return WorkerState.SILENT
        return WorkerState.DRAINING if self.is_draining else WorkerState.ALIVE

    def revoke(self) -> bool:
        """Shut this worker out for good; False when it was already."""
        return Worker.objects.filter(pk=self.pk).revoke() == 1
