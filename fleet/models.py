"""What should run (LanguageModel, Deployment), what does run (Worker, Replica), and who may join (JoinToken)."""

import uuid
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from fleet.encryption import EncryptedTextField
from protocol.control import ReplicaPhase


class LanguageModel(models.Model):
    """A model as callers know it: the name in their requests. Deployments say where it runs."""

    name = models.CharField(
        _("name"),
        max_length=100,
        unique=True,
        validators=[RegexValidator(r"^[\w][\w.:/@+-]*$", _("Letters, digits and . : / @ + - _ only."))],
        help_text=_("What callers write in the field “model”."),
    )
    description = models.TextField(_("description"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class EngineName(models.TextChoices):
    """What can run a model."""

    TRANSFORMERS = "transformers", "transformers"
    ECHO = "echo", _("echo (repeats the question; for tests)")


class Deployment(models.Model):
    """Desired state: this model, run by this engine from this source, so many times."""

    model = models.ForeignKey(LanguageModel, models.CASCADE, related_name="deployments", verbose_name=_("model"))
    engine = models.CharField(_("engine"), max_length=32, choices=EngineName, default=EngineName.TRANSFORMERS)
    source = models.CharField(
        _("source"),
        max_length=500,
        blank=True,
        help_text=_("A folder on the worker, a hub id, or “demo” for the built-in model."),
    )
    dtype = models.CharField(_("dtype"), max_length=16, default="auto")
    device = models.CharField(_("device"), max_length=32, default="auto", help_text=_("auto, cpu, cuda, cuda:1, mps"))
    num_replicas = models.PositiveSmallIntegerField(_("replicas"), default=1, validators=[MaxValueValidator(64)])
    max_concurrency = models.PositiveSmallIntegerField(
        _("requests at a time"), default=8, validators=[MinValueValidator(1)], help_text=_("For each replica.")
    )
    worker = models.ForeignKey(
        "Worker",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="pinned_deployments",
        verbose_name=_("worker"),
        help_text=_("Leave empty to let the fleet choose."),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")
        ordering: ClassVar = ["model__name", "pk"]

    def __str__(self) -> str:
        return f"{self.model} ×{self.num_replicas}"

    @property
    def spec(self) -> dict[str, Any]:
        """What an engine process is started with. A replica keeps its own copy; when the two differ, it is replaced."""
        return {name: getattr(self, name) for name in ("engine", "source", "dtype", "device", "max_concurrency")}


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


class ReplicaQuerySet(models.QuerySet["Replica"]):
    def desired(self) -> "ReplicaQuerySet":
        """Those that should run."""
        return self.filter(retired_at=None)

    def retire(self) -> int:
        """Ask for these to be drained and unloaded; how many were not retired already."""
        return self.desired().update(retired_at=now())


class Replica(models.Model):
    """One placement of a deployment on a worker. The row's existence is desired state; the rest is what was observed.

    A deployment of n replicas has the slots 0 to n-1, each held by one row that is not retired.
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
    error = models.TextField(_("error"), blank=True)
    num_running = models.PositiveIntegerField(_("running"), default=0)
    num_waiting = models.PositiveIntegerField(_("waiting"), default=0)
    context_length = models.PositiveIntegerField(_("context length"), null=True)
    capabilities = models.JSONField(_("capabilities"), default=list)
    observed_at = models.DateTimeField(_("observed"), null=True)
    retired_at = models.DateTimeField(_("retired"), null=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = ReplicaQuerySet.as_manager()

    class Meta:
        verbose_name = _("replica")
        verbose_name_plural = _("replicas")
        ordering: ClassVar = ["created_at"]
        constraints: ClassVar = [
            # Two processes that reconcile at once both try to fill a slot; the second does nothing.
            models.UniqueConstraint(
                fields=["deployment", "slot"], condition=Q(retired_at=None), name="one_replica_for_each_slot"
            )
        ]

    def __str__(self) -> str:
        return f"{self.deployment.model} @ {self.worker}"


class JoinTokenQuerySet(models.QuerySet["JoinToken"]):
    def usable(self) -> "JoinTokenQuerySet":
        """Neither revoked, nor expired, nor used up."""
        return self.filter(Q(max_uses=None) | Q(num_uses__lt=F("max_uses")), revoked_at=None, expires_at__gt=now())

    def take_use(self) -> bool:
        """Count one use, if there is one left: of two that race for the last, one gets it."""
        return self.usable().update(num_uses=F("num_uses") + 1) == 1

    def revoke(self) -> int:
        """Let nobody join with these any more; how many were not revoked already."""
        return self.filter(revoked_at=None).update(revoked_at=now())


class JoinToken(models.Model):
    """Lets a machine enrol as a worker. Only its hash is kept; the token is shown once."""

    name = models.CharField(_("name"), max_length=100)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(_("token"), max_length=40, editable=False)
    expires_at = models.DateTimeField(_("expires"))
    max_uses = models.PositiveIntegerField(_("uses allowed"), null=True, blank=True, help_text=_("Empty: no limit."))
    num_uses = models.PositiveIntegerField(_("used"), default=0, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, verbose_name=_("issued by")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)

    objects = JoinTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("join token")
        verbose_name_plural = _("join tokens")
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    def revoke(self) -> bool:
        """Let nobody join with this any more; False when it was revoked already."""
        return JoinToken.objects.filter(pk=self.pk).revoke() == 1
