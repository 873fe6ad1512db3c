"""What a team's managers may ask for."""

from typing import Any

from django import forms
from django.utils.formats import number_format
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from accounts.limits import LIMITS
from accounts.models import Team, User
from gateway.key_forms import GRACE_HOURS, VALID_DAYS
from gateway.models import APIKey


class LimitedByTeamForm(forms.ModelForm):
    """The limits of a key: none beyond its team's own, which holds in any case."""

    def __init__(self, *args: Any, team: Team, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._team = team

    @property
    def limit_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in LIMITS]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        for name in LIMITS:
            of_team = getattr(self._team, name)
            if of_team is not None and data.get(name) is not None and data[name] > of_team:
                message = _("The team itself has %(limit)s. Give no more than that.")
                self.add_error(
                    name, forms.ValidationError(message, params={"limit": number_format(of_team, force_grouping=True)})
                )
        return data


class KeyLimitsForm(LimitedByTeamForm):
    class Meta:
        model = APIKey
        fields = LIMITS


class RotationForm(forms.Form):
    grace = forms.TypedChoiceField(
        label=_("The secret until now stays good for"), choices=GRACE_HOURS, coerce=int, initial=24
    )


class TeamKeyForm(LimitedByTeamForm):
    """A key of the team, for oneself or for a service account: in the name of another person nobody may act."""

    valid_for = forms.TypedChoiceField(label=_("Valid for"), choices=VALID_DAYS, coerce=int, initial=90)

    class Meta:
        model = APIKey
        fields = ("name", "owner", *LIMITS)

    def __init__(self, *args: Any, manager: User, team: Team, **kwargs: Any) -> None:
        super().__init__(*args, team=team, **kwargs)
        accounts = User.objects.filter(team=team, is_service=True, is_active=True, is_staff=False)
        owner: Any = self.fields["owner"]
        owner.queryset = accounts | User.objects.filter(pk=manager.pk)
        owner.initial, owner.empty_label = manager.pk, None


class ServiceAccountForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ("username",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["username"]
        field.label, field.help_text = capfirst(_("name of the program")), ""
