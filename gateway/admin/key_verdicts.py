"""The page that says why a key can, or cannot, call a model."""

from typing import Any

from asgiref.sync import async_to_sync
from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from gateway.admin.route_test import known_names
from gateway.keyring import read_entry
from gateway.limit_words import worded
from gateway.models import APIKey
from gateway.runtime import NotStarted
from gateway.verdicts import Asked, Condition, Outcome, Verdict, judge, refusal

CONDITIONS = {
    Condition.KEY: (
        _("The key is in force"),
        _("It must be neither revoked, disabled nor expired, and its owner active. Enable it, or issue another."),
    ),
    Condition.NETWORK: (
        _("The address is in the key’s networks"),
        _("Add the address to the allowed networks, or see which address the proxy passes on."),
    ),
    Condition.SCOPE: (_("The key is good for calling models"), _("Tick “call models” on its page.")),
    Condition.RECORD: (_("Usage can be written down"), _("The journal’s disk is full or away: see the server’s log.")),
    Condition.LIMITS: (_("Limits"), _("Wait for a minute, or raise the limit.")),
    Condition.BUDGETS: (_("Budgets"), _("Wait until the budget begins anew, or raise it.")),
    Condition.ALLOWED: (_("The name is among the key’s allowed models"), _("Add it to the allowed models.")),
    Condition.NAME: (
        _("The name stands for a model"),
        _("Deploy a model of that name, or make a route of that name that is open to the key’s owner."),
    ),
    Condition.REPLICAS: (_("A replica can answer"), _("See which of its replicas are ready on the model’s page.")),
}
"""What must hold, and what to do where it does not."""
OUTCOMES = {
    Outcome.MET: (_("yes"), "success"),
    Outcome.REFUSED: (_("no"), "danger"),
    Outcome.WAITS: (_("after a wait"), "info"),
    Outcome.UNASKED: (_("not asked"), "neutral"),
}
_OF = {"key": _("of the key"), "team": _("of the team")}


class VerdictForm(forms.Form):
    key = forms.ModelChoiceField(
        APIKey.objects.select_related("owner").order_by("name"), label=_("Key"), widget=UnfoldAdminSelectWidget
    )
    model = forms.CharField(
        label=_("Model"), max_length=100, widget=UnfoldAdminTextInputWidget(attrs={"list": "known-names"})
    )
    address = forms.GenericIPAddressField(
        label=_("From address"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Matters only for keys with allowed networks."),
    )
    max_tokens = forms.IntegerField(
        label=_("Tokens of the answer"),
        required=False,
        min_value=1,
        max_value=10**9,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("As in max_tokens: so much is reserved of limits and budgets. Empty: the least."),
    )


def show_verdicts(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The form; and the verdicts, if it was sent."""
    form = VerdictForm(request.GET if "model" in request.GET else None, initial={"key": request.GET.get("key")})
    outcome = _outcome(form) if form.is_bound and form.is_valid() else {}
    page = {**context, "title": gettext("Why can this key not call that model?"), "form": form, **outcome}
    return TemplateResponse(request, "gateway/key_verdicts.html", page | {"names": known_names()})


def _outcome(form: VerdictForm) -> dict[str, Any]:
    given = form.cleaned_data
    key: APIKey = given["key"]
    asked = Asked(model=given["model"], address=given["address"], max_tokens=given["max_tokens"] or 1)
    try:
        verdicts = async_to_sync(judge)(read_entry(key), key.key_hash, asked)
    except NotStarted:
        return {"problem": gettext("The gateway does not run in this process yet. Ask again in a moment.")}
    return {"key": key, "asked": asked, "refusal": refusal(verdicts), "lines": [_shown(key, one) for one in verdicts]}


def _model_of(verdict: Verdict) -> str:
    return verdict.of if verdict.condition is Condition.REPLICAS else ""


def _shown(key: APIKey, verdict: Verdict) -> dict[str, Any]:
    condition, remedy = CONDITIONS[verdict.condition]
    outcome, tone = OUTCOMES[verdict.outcome]
    return {
        "condition": condition,
        "of": _OF.get(verdict.of, ""),
        "detail": key.state.label if verdict.condition is Condition.KEY else _model_of(verdict),
        "balances": [worded(balance) for balance in verdict.balances],
        "outcome": outcome,
        "tone": tone,
        "error": verdict.error,
        "remedy": remedy if verdict.error else "",
    }
