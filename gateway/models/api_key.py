"""Who may call, from where, and which models."""

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from ipaddress import ip_network
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.limits import Limited
from accounts.models import Team

_PATTERN = RegexValidator(r"^[\w.:/@+*-]+$", _("Letters, digits and . : / @ + - _ only, and * for anything."))


class KeyScope(models.TextChoices):
    """What a key is good for."""

    INFERENCE = "inference", _("call models")
    USAGE = "usage", _("read its own usage")
    FLEET = "fleet", _("manage the fleet")
    RECEIPTS = "receipts", _("see which replica answered")


class KeyState(models.TextChoices):
    """Computed, never stored. From top to bottom: the first that holds is the state."""

    REVOKED = "revoked", pgettext_lazy("key", "revoked")
    DISABLED = "disabled", pgettext_lazy("key", "disabled")
    EXPIRED = "expired", pgettext_lazy("key", "expired")
    USABLE = "usable", pgettext_lazy("key", "usable")


def usual_scopes() -> list[str]:
    return [KeyScope.INFERENCE.value, KeyScope.USAGE.value]


def are_patterns(value: Any) -> None:
    """Raises ValidationError for what is no list of names, in which * stands for anything."""
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ValidationError(_("Give a list of names."))
    for entry in value:
        _PATTERN(entry)


def are_networks(value: Any) -> None:
    """Raises ValidationError for what is no list of IP networks."""
    if not isinstance(value, list):
        raise ValidationError(_("Give a list of networks."))
    for entry in value:
        try:
            ip_network(entry)
        except (ValueError, TypeError):
            message = _("“%(entry)s” is no IP network: write it as 10.0.0.0/8 or 192.168.1.7.")
            raise ValidationError(message, params={"entry": entry}) from None


def is_model_allowed(name: str, patterns: Sequence[str]) -> bool:
    """Whether callers with these patterns may write that name. No pattern: any name."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


class APIKeyQuerySet(models.QuerySet["APIKey"]):
    def usable(self) -> "APIKeyQuerySet":
        """Neither revoked, disabled nor expired, and the owner is active."""
        is_live = Q(expires_at=None) | Q(expires_at__gt=now())
        return self.filter(is_live, revoked_at=None, disabled_at=None, owner__is_active=True)

    def of_team(self, team: Team) -> "APIKeyQuerySet":
        """Those that share its limits: its own, and its members' that have no other."""
        return self.filter(Q(team=team) | Q(team=None, owner__team=team))

    def with_hash(self, key_hash: str) -> "APIKeyQuerySet":
        """The key with this secret, or with this one before, while that is still good."""
        return self.filter(Q(key_hash=key_hash) | Q(previous_hash=key_hash, previous_expires_at__gt=now()))


class APIKey(Limited):
    """A program's credential. Only its SHA-256 is kept; the key is shown once.

    While it is rotated it has two secrets: `previous_hash` is good until `previous_expires_at`.
    """

    name = models.CharField(_("name"), max_length=100)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_keys", verbose_name=_("owner")
    )
    team = models.ForeignKey(
        Team,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="api_keys",
        verbose_name=_("team"),
        help_text=_("Whose limits it shares. Empty: its owner's team."),
    )
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(_("key"), max_length=40, editable=False)
    previous_hash = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001 - unique
    previous_hint = models.CharField(_("previous secret"), max_length=40, blank=True, editable=False)
    previous_expires_at = models.DateTimeField(_("previous secret good until"), null=True, editable=False)
    previous_used_at = models.DateTimeField(_("previous secret last used"), null=True, editable=False)
    scopes = models.JSONField(_("good for"), default=usual_scopes)
    allowed_models = models.JSONField(
        _("allowed models"),
        default=list,
        blank=True,
        validators=[are_patterns],
        help_text=_("Names of models and routes that it may call; * stands for anything. Empty: all."),
    )
    networks = models.JSONField(
        _("allowed networks"),
        default=list,
        blank=True,
        validators=[are_networks],
        help_text=_("From where it may be used: 10.0.0.0/8, 192.168.1.7. Empty: from anywhere."),
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, help_text=_("Empty: never."))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    disabled_at = models.DateTimeField(_("disabled"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    last_used_from = models.CharField(_("last used from"), max_length=45, blank=True, editable=False)

    objects = APIKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint})"

    @property
    def state(self) -> KeyState:
        if self.revoked_at:
            return KeyState.REVOKED
        if self.disabled_at:
            return KeyState.DISABLED
        return KeyState.EXPIRED if self.is_expired else KeyState.USABLE

    @property
    def is_for_fleet(self) -> bool:
        """It manages the fleet, as its owner may."""
        return KeyScope.FLEET in self.scopes

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= now()

    @property
    def previous_good_until(self) -> datetime | None:
        """None unless the secret before this one still opens."""
        until = self.previous_expires_at
        return until if self.previous_hash and until and until > now() else None
