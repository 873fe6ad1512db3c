"""A machine that runs models, and the state it is in."""

import uuid
from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from fleet.encryption import EncryptedTextField

SECRETS_OF_WORKER = ("worker__gateway_secret", "worker__next_credential")
"""Columns that a query for a worker's replicas need not read, and decrypt."""
SHARED_FOR = timedelta(minutes=1)
"""For so long after its last word a second daemon counts as there: it backs off to half a minute."""


class WorkerState(models.TextChoices):
    """A worker's state, computed from its last heartbeat, the last probe of its address, and what the administrator
    decided; never stored. Who moves it stands at each arrow.

    enrol ──▶ SILENT ── heartbeat ──▶ PENDING ── approve (administrator) ──▶ ALIVE, where the join token asks for it
                                        probe fails (server)
    enrol ──▶ SILENT ── heartbeat ──▶ ALIVE ◀────────────────▶ UNREACHABLE: it calls, but does not answer
                ▲       (worker)       │ ▲    probe answers      │
                │                      │ │                       │
                ├── silence (clock) ◀──┼─┼───────────────────────┘
                │                      ▼ │ heartbeat (worker)
                └── silence (clock) ◀─ DRAINING: the worker says so, on SIGTERM
    any ──▶ REVOKED (administrator), final

    Silence is a heartbeat older than three intervals; one and a half are enough when the probe fails too.
    """

    PENDING = "pending", _("waits for approval")
    ALIVE = "alive", _("alive")
    DRAINING = "draining", _("draining")
    UNREACHABLE = "unreachable", _("unreachable")
    SILENT = "silent", _("silent")
    REVOKED = "revoked", _("revoked")


class Duty(models.TextChoices):
    """What an administrator has decided about a worker. Nobody else moves it; only a return to service ends it.

    IN_SERVICE ──▶ CORDONED ──▶ EMPTIED ──▶ MAINTENANCE
         ▲             │           │             │
         └─────────────┴───────────┴─────────────┘
    """

    IN_SERVICE = "in_service", _("in service")
    CORDONED = "cordoned", _("cordoned")
    EMPTIED = "emptied", _("emptied")
    MAINTENANCE = "maintenance", _("maintenance")


class ProbeFailure(models.TextChoices):
    """What the server met when it last called the worker at its address."""

    REFUSED = "refused", _("the connection is refused: nothing listens there")
    NO_ANSWER = "no_answer", _("no answer comes in time: it hangs, or the network drops what is sent")
    UNTRUSTED = "untrusted", _("the TLS certificate is not the one that is expected")
    STRANGER = "stranger", _("something else answers there")


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self) -> "WorkerQuerySet":
        """Heard of lately, approved and not revoked, see WorkerState; unreachable ones included."""
        known = self.filter(revoked_at=None, awaits_approval=False, last_heartbeat_at__isnull=False)
        return known.exclude(_is_silent())

    def without_secrets(self) -> "WorkerQuerySet":
        return self.defer("gateway_secret", "next_credential")

    def fallen_silent(self) -> "WorkerQuerySet":
        """Heard of once, and lately no more."""
        return self.filter(_is_silent(), revoked_at=None)

    def revoke(self) -> int:
        """Shut these workers out for good; how many were not so already."""
        return self.filter(revoked_at=None).update(revoked_at=now())


def _is_silent() -> Q:
    """The same as Worker.is_silent, for queries."""
    at = now()
    is_late = Q(last_heartbeat_at__lt=at - settings.OVERDUE_AFTER, probed_at__gte=at - settings.SILENT_AFTER)
    return Q(last_heartbeat_at__lt=at - settings.SILENT_AFTER) | (is_late & ~Q(probe_failure=""))


class Worker(models.Model):
    """A machine's model daemon. The row is made by enrolment and kept true by heartbeats."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=100)
    address = models.URLField(_("address"), max_length=200, help_text=_("As the worker advertised it."))
    pinned_ip = models.GenericIPAddressField(_("IP address"), help_text=_("Resolved once, at enrolment."))
    certificate_sha256 = models.CharField(_("TLS certificate, SHA-256"), max_length=64, blank=True, editable=False)
    """The only one that is accepted at its address; empty: any that the system trusts, for the name in the address."""
    credential_hash = models.CharField(max_length=64, unique=True, editable=False)
    next_credential = EncryptedTextField(null=True, editable=False)
    """While the credential is being changed: handed over with every heartbeat until the worker has used it."""
    next_credential_hash = models.CharField(max_length=64, unique=True, null=True, blank=True, editable=False)
    gateway_secret = EncryptedTextField(editable=False)
    join_token = models.ForeignKey(
        "JoinToken", models.SET_NULL, null=True, related_name="workers", editable=False, verbose_name=_("join token")
    )
    awaits_approval = models.BooleanField(_("awaits approval"), default=False, editable=False)
    """Until an administrator has approved it, it is told to run nothing and nobody calls it."""
    cordoned = models.BooleanField(_("cordoned"), default=False, help_text=_("Gets no new replicas."))
    labels = models.JSONField(_("labels"), default=dict, blank=True)
    drain_requested_at = models.DateTimeField(_("drain asked for"), null=True, blank=True, editable=False)
    """By an administrator: everything is moved off, or unloaded where nobody else can take it."""
    maintenance_remark = models.CharField(_("maintenance"), max_length=200, blank=True)
    """Why it is under maintenance; empty: it is not."""
    is_draining = models.BooleanField(_("draining"), default=False, editable=False)
    """Its daemon says so: it was told to stop."""
    boot_id = models.CharField(max_length=64, blank=True, editable=False)
    sequence = models.PositiveBigIntegerField(default=0, editable=False)
    past_boots = models.JSONField(default=list, editable=False)
    """Boot ids before this one, the latest last. Whoever speaks as one of them is a replay, or a second daemon."""
    shared_at = models.DateTimeField(null=True, editable=False)
    """When a past boot last spoke."""
    hardware = models.JSONField(_("hardware"), default=dict, editable=False)
    software_version = models.CharField(_("version"), max_length=32, blank=True, editable=False)
    enrolled_at = models.DateTimeField(_("enrolled"), auto_now_add=True)
    last_heartbeat_at = models.DateTimeField(_("last heartbeat"), null=True, editable=False, db_index=True)
    probed_at = models.DateTimeField(null=True, editable=False)
    probe_failure = models.CharField(max_length=16, choices=ProbeFailure, blank=True, editable=False)
    """Of the last probe; empty when it was answered. Counts for as long as a heartbeat does."""
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
        if self.is_silent:
            return WorkerState.SILENT
        if self.awaits_approval:
            return WorkerState.PENDING
        if self.is_draining:
            return WorkerState.DRAINING
        return WorkerState.UNREACHABLE if self.is_unreachable else WorkerState.ALIVE

    @property
    def is_shared(self) -> bool:
        """Whether a second daemon uses this worker's credential, as far as was heard lately."""
        return self.shared_at is not None and now() - self.shared_at <= SHARED_FOR

    @property
    def duty(self) -> Duty:
        if self.maintenance_remark:
            return Duty.MAINTENANCE
        if self.drain_requested_at:
            return Duty.EMPTIED
        return Duty.CORDONED if self.cordoned else Duty.IN_SERVICE

    @property
    def is_silent(self) -> bool:
        if self.heartbeat_age is None:
            return True
        return self.heartbeat_age > (settings.OVERDUE_AFTER if self.is_unreachable else settings.SILENT_AFTER)

    @property
    def is_unreachable(self) -> bool:
        """Whether a probe failed lately. One that nobody has repeated since says nothing any more."""
        has_fresh_probe = self.probed_at is not None and now() - self.probed_at <= settings.SILENT_AFTER
        return has_fresh_probe and bool(self.probe_failure)

    def revoke(self) -> bool:
        """Shut this worker out for good; False when it was already."""
        return Worker.objects.filter(pk=self.pk).revoke() == 1
