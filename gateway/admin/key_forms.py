"""Forms of the API keys' admin."""

from typing import Any, ClassVar

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.limits import LIMITS
from accounts.models import User
from gateway.issuing import may_have_secret
from gateway.key_forms import GRACE_HOURS, VALID_DAYS, ListField
from gateway.models import APIKey, KeyScope
from gateway.models.api_key import usual_scopes

ONLY_SUPERUSERS = _("Only superusers handle keys that manage the fleet in another person’s name.")


class KeyForm(forms.ModelForm):
    allowed_models = ListField.of("allowed_models", widget=UnfoldAdminTextInputWidget)
    networks = ListField.of("networks", widget=UnfoldAdminTextInputWidget)
    scopes = forms.MultipleChoiceField(
        label=capfirst(_("good for")),
        choices=KeyScope,
        initial=usual_scopes,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("A key that manages the fleet may do what its owner may do in this admin."),
        error_messages={"required": _("Tick at least one: a key that is good for nothing opens nothing.")},
    )

    actor: User
    """Who fills it in."""

    class Meta:
        model = APIKey
        fields: tuple[str, ...] = ("name", "team", "scopes", "allowed_models", "networks", "expires_at", *LIMITS)
        help_texts: ClassVar = {"name": _("Which program uses it, such as “nightly report”.")}

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        owner = data.get("owner") or (self.instance.owner if self.instance.pk else None)
        if owner and not may_have_secret(self.actor, owner, data.get("scopes", [])):
            self.add_error("scopes", ONLY_SUPERUSERS)
        return data


class IssueKeyForm(KeyForm):
    valid_for = forms.TypedChoiceField(
        label=_("valid for"), choices=VALID_DAYS, coerce=int, initial=90, widget=UnfoldAdminSelectWidget
    )

    class Meta(KeyForm.Meta):
        fields = ("name", "owner", "team", "scopes", "allowed_models", "networks", *LIMITS)
        help_texts: ClassVar = {**KeyForm.Meta.help_texts, "owner": _("Whose usage it counts as.")}


class RotateKeyForm(forms.Form):
    grace = forms.TypedChoiceField(
        label=_("The secret until now stays good for"),
        choices=GRACE_HOURS,
        coerce=int,
        initial=24,
        widget=UnfoldAdminSelectWidget,
        help_text=_("So long both open, and you can change one program after the other."),
    )
