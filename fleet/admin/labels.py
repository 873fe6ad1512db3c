"""Labels in forms: one line of text, `gpu=h100, zone=a`."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from fleet.errors import LabelsMalformed
from fleet.labels import format_labels, parse_labels


class LabelsField(forms.CharField):
    """Its value is a mapping; empty text is no labels."""

    widget = UnfoldAdminTextInputWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"required": False, "max_length": 4000} | kwargs))

    def prepare_value(self, value: Any) -> Any:
        return format_labels(value) if isinstance(value, dict) else value

    def clean(self, value: Any) -> Any:
        try:
            return parse_labels(super().clean(value))
        except LabelsMalformed as error:
            raise ValidationError(str(error)) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial or {}), data)
