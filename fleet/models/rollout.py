"""How a deployment came to what it runs: one row for each change of what its engine processes are started with."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from fleet.models.deployment import Deployment

_LONGEST_DETAIL = 500
_NUM_RECENT = 6


class RolloutPhase(models.TextChoices):
    """Where a rollout stands. The reconciler moves it, by compare-and-set; an administrator may ask it to roll back.

    begin ──▶ RUNNING ── every replica is new and has proven itself ──▶ IN_FORCE ── a later one is ──▶ PAST
                 ├────── new replicas fail, or an administrator says so ──▶ ROLLED_BACK
                 └────── the deployment is changed again ──▶ SUPERSEDED
    """

    RUNNING = "running", _("in progress")
    IN_FORCE = "in_force", _("in force")
    PAST = "past", _("past")
    ROLLED_BACK = "rolled_back", _("rolled back")
    SUPERSEDED = "superseded", _("superseded")


class RollbackCause(models.TextChoices):
    """Why the version before was put back."""

    BROKE = "broke", _("its new replicas broke down again and again")
    ERRORS = "errors", _("too many of its answers failed")
    ADMINISTRATOR = "administrator", _("an administrator decided it")


class RolloutQuerySet(models.QuerySet["Rollout"]):
    def running(self) -> "RolloutQuerySet":
        return self.filter(phase=RolloutPhase.RUNNING)

    def current(self) -> "RolloutQuerySet":
        """At most two of a deployment: the one that is in force, and the one on its way."""
        return self.filter(phase__in=(RolloutPhase.RUNNING, RolloutPhase.IN_FORCE))

    def recent(self) -> "RolloutQuerySet":
        """The last few of each deployment, newest first."""
        newest = Rollout.objects.filter(deployment=OuterRef("deployment")).order_by("-revision").values("revision")[:1]
        return self.filter(revision__gt=Subquery(newest) - _NUM_RECENT).order_by("deployment", "-revision")

    def begin(self, deployment: Deployment, previous: "Rollout | None") -> "Rollout":
        """To what the deployment says now; `previous` is what to go back to if it fails."""
        newest = self.filter(deployment=deployment).aggregate(models.Max("revision"))["revision__max"] or 0
        return self.create(
            deployment=deployment,
            revision=newest + 1,
            spec=deployment.spec,
            previous_spec=previous.spec if previous else None,
            started_by=deployment.changed_by,
        )


class Rollout(models.Model):
    """One change of a deployment's spec, from `previous_spec` (None: its first) to `spec`, and what became of it."""

    deployment = models.ForeignKey(Deployment, models.CASCADE, related_name="rollouts", verbose_name=_("deployment"))
    revision = models.PositiveIntegerField(_("revision"))
    """Counts up from 1 within a deployment."""
    spec = models.JSONField(_("to"))
    previous_spec = models.JSONField(_("from"), null=True)
    phase = models.CharField(_("phase"), max_length=16, choices=RolloutPhase, default=RolloutPhase.RUNNING)
    cause = models.CharField(_("cause"), max_length=16, choices=RollbackCause, blank=True)
    """Of a rollback."""
    detail = models.CharField(_("detail"), max_length=_LONGEST_DETAIL, blank=True)
    """The engine's own words, figures, or the administrator's name."""
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("started by")
    )
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    """When it left RUNNING."""

    objects = RolloutQuerySet.as_manager()

    class Meta:
        verbose_name = _("rollout")
        verbose_name_plural = _("rollouts")
        ordering: ClassVar = ["-started_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["deployment", "revision"], name="one_rollout_for_each_revision"),
            models.UniqueConstraint(
                fields=["deployment"], condition=Q(phase=RolloutPhase.RUNNING), name="one_rollout_at_a_time"
            ),
            models.UniqueConstraint(
                fields=["deployment"], condition=Q(phase=RolloutPhase.IN_FORCE), name="one_rollout_in_force"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.deployment.model} #{self.revision}"

    @property
    def is_running(self) -> bool:
        return self.phase == RolloutPhase.RUNNING

    def leave(self, phase: RolloutPhase, *, cause: str = "", detail: str = "") -> bool:
        """From RUNNING to `phase`; False if somebody else has moved it already."""
        change: dict[str, Any] = {"cause": cause, "detail": detail[:_LONGEST_DETAIL], "ended_at": now()}
        return Rollout.objects.running().filter(pk=self.pk).update(phase=phase, **change) == 1
