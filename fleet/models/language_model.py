"""A model as callers know it."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from fleet.naming import why_reserved


class BalancingPolicy(models.TextChoices):
    """How the gateway chooses among a model's replicas."""

    LEAST_LOAD = "least_load", _("least load")
    ROUND_ROBIN = "round_robin", _("each in turn")
    WEIGHTED = "weighted", _("by speed: a lottery")
    SESSION_AFFINITY = "session_affinity", _("a session stays with its replica")
    PREFIX_AFFINITY = "prefix_affinity", _("a conversation returns to its cache")


MODEL_NAME = RegexValidator(r"^[\w][\w.:/@+-]*$", _("Letters, digits and . : / @ + - _ only."))


class LanguageModel(models.Model):
    """A model as callers know it: the name in their requests. Deployments say where it runs."""

    name = models.CharField(
        _("name"),
        max_length=100,
        unique=True,
        validators=[MODEL_NAME],
        help_text=_("What callers write in the field “model”."),
    )
    description = models.TextField(_("description"), blank=True)
    only_by_route = models.BooleanField(
        _("only by route"),
        default=False,
        help_text=_("Callers cannot name it: only routes lead to it. For models on trial."),
    )
    balancing_policy = models.CharField(
        _("balancing"),
        max_length=20,
        choices=BalancingPolicy,
        default=BalancingPolicy.LEAST_LOAD,
        help_text=_("How requests are spread over the replicas. “Least load” is right unless you know better."),
    )
    max_concurrency = models.PositiveIntegerField(
        _("requests at a time"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Over all its replicas; what comes beyond that waits. Empty: as many as they have places."),
    )
    max_queue_length = models.PositiveIntegerField(
        _("length of the queue"),
        null=True,
        blank=True,
        help_text=_("How many requests may wait, in each web process. 0: none. Empty: as the server is set up."),
    )
    max_queue_wait_s = models.PositiveIntegerField(
        _("longest wait (seconds)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("After that a waiting request is refused. Empty: as the server is set up."),
    )
    input_price = models.DecimalField(
        _("price of input"),
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=_("For a million tokens, wherever it runs. Empty: the provider's price, and nothing on own workers."),
    )
    cached_input_price = models.DecimalField(
        _("price of cached input"),
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=_("Of what an engine or provider says it had in a cache. Empty: as any other input."),
    )
    output_price = models.DecimalField(
        _("price of output"),
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """A new name must be free: callers would never reach a model behind something else of its name."""
        is_new = not LanguageModel.objects.filter(pk=self.pk, name=self.name).exists()
        if is_new and (why := why_reserved(self.name)):
            raise ValidationError({"name": why})
