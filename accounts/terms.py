"""The terms of use: what an administrator wrote, and who has agreed to it."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from accounts.gate import ALWAYS_OPEN, Gate
from accounts.models import Terms, User
from audit.models import Door
from audit.recording import actor_of, record


class AcceptTermsForm(forms.Form):
    """What was read must be what is in force when the form comes."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    accepted = forms.BooleanField(label=_("I have read the terms of use and accept them."))

    def __init__(self, terms: Terms | None, data: Any) -> None:
        super().__init__(data, initial={"version": terms and terms.pk})
        self._terms = terms

    def clean_version(self) -> int:
        version: int = self.cleaned_data["version"]
        if self._terms and version != self._terms.pk:
            raise forms.ValidationError(_("The terms of use have changed since you opened this page. Read them again."))
        return version


def terms_to_accept(user: User) -> Terms | None:
    """The version in force, if it says anything and this person has not agreed to it."""
    newest = Terms.objects.order_by("-pk").values_list("pk", flat=True).first()
    if newest is None or user.accepted_terms_id == newest:
        return None
    terms = Terms.objects.get(pk=newest)
    return terms if terms.text else None


def accept(request: HttpRequest, user: User, terms: Terms) -> None:
    if (
        User.objects.filter(pk=user.pk)
        .exclude(accepted_terms=terms)
        .update(accepted_terms=terms, accepted_terms_at=now())
    ):
        record(actor_of(request, Door.PAGE), "accepted the terms of use", terms)


class TermsFirst(Gate):
    """To agree."""

    open_views = ALWAYS_OPEN | {"terms"}
    page, code = "terms", "terms_not_accepted"
    message = _("Open this installation in a browser and accept its terms of use first.")

    @staticmethod
    def is_closed_to(user: User) -> bool:
        return terms_to_accept(user) is not None
