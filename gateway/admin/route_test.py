"""The page that says what would happen to a request: which model, which replica, and why."""

from typing import Any, cast

from asgiref.sync import async_to_sync
from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.models import User
from fleet.models import LanguageModel, Replica
from gateway.balancer import LeftOut
from gateway.errors import ModelNotFound
from gateway.explanation import ExplainedLeg, explain
from gateway.models import FailureClass, Route
from gateway.runtime import NotStarted

LEFT_OUT = {
    LeftOut.AT_ITS_LIMIT: _("its provider's limits are reached"),
    LeftOut.UNABLE: _("it cannot do this"),
    LeftOut.UNREACHABLE: _("it cannot be reached; a probe looks after it"),
    LeftOut.FAILING: _("it failed again and again; one request at a time is on trial"),
}


class RouteTestForm(forms.Form):
    """Everything but the name is optional."""

    name = forms.ChoiceField(label=_("Name"), widget=UnfoldAdminSelectWidget)
    user = forms.ModelChoiceField(
        User.objects.filter(is_active=True),
        label=_("Caller"),
        required=False,
        empty_label=_("myself"),
        widget=UnfoldAdminSelectWidget,
    )
    session = forms.CharField(
        label=_("Session"),
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("As in X-Session-ID, prompt_cache_key or user. Empty: none."),
    )
    beginning = forms.CharField(
        label=_("Beginning of the conversation"), required=False, max_length=4000, widget=UnfoldAdminTextInputWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].choices = [(name, name) for name in known_names()]  # type: ignore[attr-defined]


def known_names() -> list[str]:
    """Of routes, then of the models without one."""
    routes = sorted(Route.objects.values_list("name", flat=True))
    return routes + sorted(LanguageModel.objects.exclude(name__in=routes).values_list("name", flat=True))


def show_route_test(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The form; and the outcome, if it was sent."""
    form = RouteTestForm(request.GET if "name" in request.GET else None)
    outcome = _outcome(form, cast(User, request.user)) if form.is_bound and form.is_valid() else {}
    page = {**context, "title": gettext("Test a name"), "form": form, **outcome}
    return TemplateResponse(request, "gateway/route_test.html", page)


def _outcome(form: RouteTestForm, myself: User) -> dict[str, Any]:
    asked = form.cleaned_data
    caller = asked["user"] or myself
    try:
        found = async_to_sync(explain)(
            asked["name"], user_id=caller.pk, session=asked["session"], beginning=asked["beginning"]
        )
    except NotStarted:
        return {"problem": gettext("The gateway does not run in this process yet. Ask again in a moment.")}
    except ModelNotFound:
        return {"problem": gettext("For this caller there is no such name: 404.")}
    total = sum(share.weight for share in found.shares)
    return {
        "caller": caller,
        "explanation": found,
        "shares": [(share, 100 * share.weight / total) for share in found.shares],
        "legs": [_shown(leg) for leg in found.legs],
    }


def _shown(leg: ExplainedLeg) -> dict[str, Any]:
    """The leg, with words for what the rules say, and with the replicas that are not ready."""
    return {
        "model": leg.model,
        "after": [FailureClass(failure).label for failure in leg.after],
        "policy": leg.policy.label if leg.policy else "",
        "candidates": [
            (candidate, LEFT_OUT[candidate.left_out] if candidate.left_out else "") for candidate in leg.candidates
        ],
        "not_ready": _not_ready(leg),
    }


def _not_ready(leg: ExplainedLeg) -> list[Replica]:
    """Those that the gateway does not know: loading, failed, retired, or on a worker that is away."""
    known = [candidate.replica.replica_id for candidate in leg.candidates]
    rows = Replica.objects.desired().filter(deployment__model__name=leg.model).exclude(pk__in=known)
    return list(rows.select_related("worker"))
