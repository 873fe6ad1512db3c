"""How much may be used: columns that keys and teams share."""

from typing import Any

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


def _number(label: Any, help_text: Any = "") -> models.PositiveBigIntegerField:
    return models.PositiveBigIntegerField(
        label, null=True, blank=True, validators=[MinValueValidator(1)], help_text=help_text
    )


def _money(label: Any) -> models.DecimalField:
    return models.DecimalField(
        label, max_digits=14, decimal_places=4, null=True, blank=True, validators=[MinValueValidator(0)]
    )


class Limited(models.Model):
    """Empty is without limit. Budgets begin anew at midnight, on Mondays and on the first, in settings.TIME_ZONE."""

    max_requests_per_minute = _number(_("requests a minute"))
    max_tokens_per_minute = _number(_("tokens a minute"), _("Of prompts and answers together."))
    max_parallel_requests = _number(_("requests at the same time"), _("Those that wait for their turn included."))
    max_tokens_per_day = _number(_("tokens a day"))
    max_tokens_per_week = _number(_("tokens a week"))
    max_tokens_per_month = _number(_("tokens a month"))
    max_cost_per_day = _money(_("cost a day"))
    max_cost_per_week = _money(_("cost a week"))
    max_cost_per_month = _money(_("cost a month"))

    class Meta:
        abstract = True


RATES = ("max_requests_per_minute", "max_tokens_per_minute", "max_parallel_requests")
BUDGETS = (
    "max_tokens_per_day",
    "max_tokens_per_week",
    "max_tokens_per_month",
    "max_cost_per_day",
    "max_cost_per_week",
    "max_cost_per_month",
)
LIMITS = (*RATES, *BUDGETS)
