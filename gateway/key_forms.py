"""What the forms about API keys share: fields of several values in one line, and the choices."""

import re
from typing import Any

from django import forms
from django.db import models
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from gateway.models import APIKey

VALID_DAYS = [(30, _("30 days")), (90, _("90 days")), (365, _("1 year")), (0, _("no limit"))]
GRACE_HOURS = [(0, _("none: it ends at once")), (1, _("1 hour")), (24, _("1 day")), (7 * 24, _("7 days"))]


class ListField(forms.CharField):
    """`a, b c` as a list of texts; what they may be, the model's own validators say."""

    @classmethod
    def of(cls, name: str, **kwargs: Any) -> "ListField":
        """For that column of APIKey, in its words."""
        column: models.Field = APIKey._meta.get_field(name)  # type: ignore[assignment]
        return cls(
            label=capfirst(column.verbose_name),
            help_text=column.help_text,
            required=False,
            max_length=4000,
            validators=column.validators,
            **kwargs,
        )

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [part for part in re.split(r"[,\s]+", super().to_python(value) or "") if part]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial or []), data)
