"""Who may join."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class JoinTokenState(models.TextChoices):
    """Computed, never stored. From top to bottom: the first that holds is the state."""

    REVOKED = "revoked", pgettext_lazy("token", "revoked")
    EXPIRED = "expired", pgettext_lazy("token", "expired")
    USED_UP = "used_up", pgettext_lazy("token", "used up")
    USABLE = "usable", pgettext_lazy("token", "usable")


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
    networks = models.JSONField(_("allowed networks"), default=list, blank=True)
    """From where it may be used; empty: from anywhere."""
    labels = models.JSONField(_("labels"), default=dict, blank=True)
    """What a worker that joins with it is labelled with."""
    needs_approval = models.BooleanField(_("needs approval"), default=False)
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

    @property
    def state(self) -> JoinTokenState:
        if self.revoked_at:
            return JoinTokenState.REVOKED
        if self.expires_at <= now():
            return JoinTokenState.EXPIRED
        is_used_up = self.max_uses is not None and self.num_uses >= self.max_uses
        return JoinTokenState.USED_UP if is_used_up else JoinTokenState.USABLE

    def revoke(self) -> bool:
        """Let nobody join with this any more; False when it was revoked already."""
        return JoinToken.objects.filter(pk=self.pk).revoke() == 1
