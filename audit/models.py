"""Who did what, and when: rows that are written once."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Door(models.TextChoices):
    """By which somebody came."""

    ADMIN = "admin", _("administration")
    API = "api", _("REST API")
    COMMAND = "command", _("command line")
    PAGE = "page", _("own pages")
    SIGN_IN = "sign_in", _("sign-in")


class AuditEntry(models.Model):
    """One administrative act. The database itself refuses to change a row (see the migration that made the table).

    Names are copied in, and there are no foreign keys: an entry outlives whom and what it speaks of.
    """

    at = models.DateTimeField(_("time"), auto_now_add=True, db_index=True)
    actor_id = models.BigIntegerField(null=True, db_index=True)
    actor_name = models.CharField(_("who"), max_length=150, blank=True)
    door = models.CharField(_("by"), max_length=16, choices=Door)
    act = models.CharField(_("what"), max_length=200)
    object_kind = models.CharField(_("kind"), max_length=100, blank=True)
    object_id = models.CharField(_("id"), max_length=64, blank=True)
    object_name = models.CharField(_("object"), max_length=200, blank=True)
    before = models.JSONField(_("before"), default=dict)
    after = models.JSONField(_("after"), default=dict)
    """Of what changed only; secrets as a mark that tells one from another."""
    address = models.CharField(pgettext_lazy("address", "from"), max_length=45, blank=True)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        ordering: ClassVar = ["-at", "-pk"]
        indexes: ClassVar = [models.Index(fields=["object_kind", "object_id"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.act} {self.object_name}".strip()
