"""Routes in admin: names of one's own, with those who answer for them."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from audit.admin_base import AuditedAdmin
from fleet.admin.acting import row_of
from gateway.admin.route_test import show_route_test
from gateway.models import FailureClass, Route, RouteFallback, RouteTarget
from gateway.route_editing import check_fallback, check_targets

_CHECKED = "checked_targets"
"""Where the targets' models lie for the check of the fallbacks: on this object only."""


class TargetFormSet(BaseInlineFormSet):
    """Each error says what to change."""

    def clean(self) -> None:
        super().clean()
        kept = [form.cleaned_data for form in self.forms if _is_kept(form)]
        if any(self.errors):
            return
        weights = {target["model"].name: target["weight"] for target in kept}
        vars(self.instance)[_CHECKED] = list(weights)
        check_targets(self.instance.name, weights)


class FallbackFormSet(BaseInlineFormSet):
    """Checked after the targets, and against them."""

    def clean(self) -> None:
        super().clean()
        targets = vars(self.instance).get(_CHECKED, [])
        for form in self.forms:
            if _is_kept(form):
                try:
                    check_fallback(form.cleaned_data["model"].name, targets)
                except ValidationError as error:
                    form.add_error("model", error)


class FallbackForm(forms.ModelForm):
    after = forms.MultipleChoiceField(
        label=capfirst(_("after")),
        choices=FailureClass.choices,
        initial=[FailureClass.NO_REPLICA, FailureClass.OVERLOADED, FailureClass.UPSTREAM_FAILED, FailureClass.TIMEOUT],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        error_messages={"required": _("Tick at least one failure after which this model is asked.")},
    )

    class Meta:
        model = RouteFallback
        fields = ("position", "model", "after")


class LabelledInline(TabularInline):
    """A table's head is no label to those who hear the page: each field says what it is."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.widget.attrs.setdefault("aria-label", capfirst(db_field.verbose_name))
        return field


class TargetInline(LabelledInline):
    model = RouteTarget
    formset = TargetFormSet
    fields = ("model", "weight", "users", "groups")
    autocomplete_fields = ("users", "groups")
    extra = 0
    min_num = 1


class FallbackInline(LabelledInline):
    model = RouteFallback
    form = FallbackForm
    formset = FallbackFormSet
    extra = 0


@admin.register(Route)
class RouteAdmin(AuditedAdmin):
    list_display = ("name", "answered_by", "then", "created_at")
    search_fields = ("name", "description", "targets__model__name")
    fields = ("name", "description")
    inlines = (TargetInline, FallbackInline)
    actions_list: ClassVar = ["test_name"]
    actions_detail: ClassVar = ["test_route"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Route]:
        return super().get_queryset(request).prefetch_related("targets__model", "fallbacks__model")

    @action(description=_("Test a name"), permissions=["view"], icon="troubleshoot")
    def test_name(self, request: HttpRequest) -> HttpResponse:
        return show_route_test(request, {**self.admin_site.each_context(request), "opts": self.opts})

    @action(description=_("Test this route"), permissions=["view"], icon="troubleshoot")
    def test_route(self, request: HttpRequest, object_id: str) -> HttpResponse:
        route = row_of(Route, object_id)
        return redirect(f"{reverse('admin:gateway_route_test_name')}?{urlencode({'name': route.name})}")

    @display(description=_("answered by"))
    def answered_by(self, route: Route) -> str:
        shares = [f"{target.model} {share:.4g} %" for target, share in route.percentages()]
        return ", ".join(shares) or gettext("nobody: give a target a weight")

    @display(description=_("else"))
    def then(self, route: Route) -> str:
        return " → ".join(str(fallback) for fallback in route.fallbacks.all()) or "–"


def _is_kept(form: Any) -> bool:
    return form.is_valid() and bool(form.cleaned_data.get("model")) and not form.cleaned_data.get("DELETE")
