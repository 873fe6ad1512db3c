"""What people may ask of the usage pages, and of the page of their own keys."""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils.timezone import localdate
from django.utils.translation import gettext_lazy as _

from gateway.key_forms import VALID_DAYS
from gateway.reports import Period, Scope

DEFAULT_DAYS = 30
MAX_DAYS = 400


class UsageForm(forms.Form):
    """The filters in the address of a usage page. Everything is optional; without dates it is the last `days` days."""

    days = forms.IntegerField(required=False, min_value=1, max_value=MAX_DAYS)
    first = forms.DateField(label=_("From"), required=False)
    last = forms.DateField(label=_("To"), required=False)
    model = forms.CharField(label=_("Model"), required=False, max_length=100)
    key = forms.IntegerField(label=_("Key"), required=False, min_value=0)
    user = forms.IntegerField(label=_("User"), required=False, min_value=1)
    policy = forms.CharField(label=_("Content policy"), required=False, max_length=60)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        period = self.period
        if period.first > period.last:
            self.add_error("first", _("The first day lies after the last one."))
        elif period.num_days > MAX_DAYS:
            self.add_error("first", _("At most %(days)d days at a time.") % {"days": MAX_DAYS})
        return data

    @property
    def period(self) -> Period:
        last: date = self.cleaned_data.get("last") or localdate()
        days: int = self.cleaned_data.get("days") or DEFAULT_DAYS
        return Period(first=self.cleaned_data.get("first") or last - timedelta(days=days - 1), last=last)

    def scope(self, *, only_user: int | None = None, only_team: int | None = None) -> Scope:
        """What is asked for, of nobody else; `only_user` overrules the filter by user. Nonsense asks for the usual 30
        days."""
        if not self.is_valid():
            today = localdate()
            period = Period(first=today - timedelta(days=DEFAULT_DAYS - 1), last=today)
            return Scope(period=period, user_id=only_user, team_id=only_team)
        return Scope(
            period=self.period,
            user_id=only_user if only_user is not None else self.cleaned_data["user"],
            team_id=only_team,
            model=self.cleaned_data["model"] or None,
            key_id=self.cleaned_data["key"],
            content_policy=self.cleaned_data["policy"] or None,
        )


class OwnKeyForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=100, help_text=_("Which program uses it."))
    valid_for = forms.TypedChoiceField(label=_("Valid for"), choices=VALID_DAYS, coerce=int, initial=90)
