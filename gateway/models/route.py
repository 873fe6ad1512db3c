"""Names that callers may write and that are no models: each stands for one or several."""

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from fleet.models import LanguageModel
from fleet.models.language_model import MODEL_NAME


class FailureClass(models.TextChoices):
    """Why a request came to nothing, as far as another model may help."""

    NO_REPLICA = "no_replica", _("no replica is ready")
    OVERLOADED = "overloaded", _("overloaded")
    UPSTREAM_FAILED = "upstream_failed", _("the worker failed")
    TIMEOUT = "timeout", _("no answer in time")
    CONTEXT_LENGTH = "context_length", _("the request is too long for it")


class Route(models.Model):
    """A name of its own, or one put in front of the model of the same name, which must then be among its targets."""

    name = models.CharField(
        _("name"),
        max_length=100,
        unique=True,
        validators=[MODEL_NAME],
        help_text=_("What callers write in the field “model”, such as gpt-4o-mini."),
    )
    description = models.TextField(_("description"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("route")
        verbose_name_plural = _("routes")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def percentages(self) -> list[tuple["RouteTarget", float]]:
        """Each target with its share of the requests, in per cent; nothing where no target has a weight."""
        targets = list(self.targets.all())
        total = sum(target.weight for target in targets)
        return [(target, 100 * target.weight / total) for target in targets] if total else []

    @classmethod
    def why_reserved(cls, name: str) -> str | None:
        """Why no new model may have that name; None: it may."""
        if not cls.objects.filter(name=name).exists():
            return None
        return gettext(
            "There is a route named “%(name)s”, and callers would reach that instead. Choose another name for the "
            "model, or rename the route first."
        ) % {"name": name}


class RouteTarget(models.Model):
    """A model that gets a share of the route's requests."""

    route = models.ForeignKey(Route, models.CASCADE, related_name="targets")
    # A model that callers depend on by another name must not disappear under them.
    model = models.ForeignKey(LanguageModel, models.PROTECT, related_name="+", verbose_name=_("model"))
    weight = models.PositiveIntegerField(
        _("weight"),
        default=100,
        validators=[MaxValueValidator(1_000_000)],
        help_text=_("Its share is this, divided by the sum of all. 0: none at present."),
    )
    users = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="+",
        verbose_name=_("only for users"),
        help_text=_("Nobody named here and no group: for everybody."),
    )
    groups = models.ManyToManyField(Group, blank=True, related_name="+", verbose_name=_("only for groups"))

    class Meta:
        verbose_name = _("target")
        verbose_name_plural = _("targets: who answers")
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["route", "model"], name="one_share_for_each_model")]

    def __str__(self) -> str:
        return f"{self.model} ×{self.weight}"


class RouteFallback(models.Model):
    """A model that is asked when the one before it failed in one of these ways."""

    route = models.ForeignKey(Route, models.CASCADE, related_name="fallbacks")
    position = models.PositiveSmallIntegerField(_("order"), default=1)
    model = models.ForeignKey(LanguageModel, models.PROTECT, related_name="+", verbose_name=_("model"))
    after = models.JSONField(_("after"), default=list)
    """Of FailureClass; never empty."""

    class Meta:
        verbose_name = _("fallback")
        verbose_name_plural = _("fallbacks: who is asked when a target fails")
        ordering: ClassVar = ["position", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["route", "model"], name="one_fallback_for_each_model"),
            models.CheckConstraint(condition=~Q(after=[]), name="a_fallback_has_a_reason"),
        ]

    def __str__(self) -> str:
        return str(self.model)
