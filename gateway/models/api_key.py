"""Who may call."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _


class KeyScope(models.TextChoices):
    """What a key is good for."""

    INFERENCE = "inference", _("call models")
    FLEET = "fleet", _("manage the fleet")


def inference_only() -> list[str]:
    return [KeyScope.INFERENCE.value]


class APIKeyQuerySet(models.QuerySet["APIKey"]):
    def usable(self) -> "APIKeyQuerySet":
        """Neither revoked nor expired, and the owner may sign in."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now()), revoked_at=None, owner__is_active=True)


class APIKey(models.Model):
    """A program's credential. Only its SHA-256 is kept; the key is shown once."""

    name = models.CharField(_("name"), max_length=100)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_keys", verbose_name=_("owner")
    )
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(_("key"), max_length=40, editable=False)
    scopes = models.JSONField(_("good for"), default=inference_only)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, help_text=_("Empty: never."))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)

    objects = APIKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint})"

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= now()
