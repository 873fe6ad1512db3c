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
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from fleet.models import LanguageModel
from gateway.admin.route_test import show_route_test
from gateway.models import FailureClass, Route, RouteFallback, RouteTarget

_CHECKED = "checked_targets"
"""Where the targets' models lie for the check of the fallbacks: on this object only."""


class TargetFormSet(BaseInlineFormSet):
    """Each error says what to change."""

    def clean(self) -> None:
        super().clean()
        kept = [form.cleaned_data for form in self.forms if _is_kept(form)]
        if any(self.errors):
            return
        if not any(target["weight"] for target in kept):
            raise ValidationError(_("Name at least one model with a weight above 0."))
        models = [target["model"].name for target in kept]
        vars(self.instance)[_CHECKED] = models
        self._check_name(models)

    def _check_name(self, models: list[str]) -> None:
        name = self.instance.name
        if name not in models and LanguageModel.objects.filter(name=name).exists():
            raise ValidationError(
                _(
                    "There is a model named “%(name)s”. Choose another name for the route, or make that model one of "
                    "the targets: the route then stands in front of it."
                )
                % {"name": name}
            )


class FallbackFormSet(BaseInlineFormSet):
    """Checked after the targets, and against them."""

    def clean(self) -> None:
        super().clean()
        targets = vars(self.instance).get(_CHECKED, [])
        for form in self.forms:
            if _is_kept(form) and targets == [form.cleaned_data["model"].name]:
                form.add_error("model", _("This model is the only target: choose another one to fall back on."))


class FallbackForm(forms.ModelForm):
    after = forms.MultipleChoiceField(
        label=_("after"),
        choices=FailureClass.choices,
        initial=[FailureClass.NO_REPLICA, FailureClass.OVERLOADED, FailureClass.UPSTREAM_FAILED, FailureClass.TIMEOUT],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        error_messages={"required": _("Tick at least one failure after which this model is asked.")},
    )

    class Meta:
        model = RouteFallback
        fields = ("position", "model", "after")


class TargetInline(TabularInline):
    model = RouteTarget
    formset = TargetFormSet
    fields = ("model", "weight", "users", "groups")
    autocomplete_fields = ("users", "groups")
    extra = 0
    min_num = 1


class FallbackInline(TabularInline):
    model = RouteFallback
    form = FallbackForm
    formset = FallbackFormSet
    extra = 0


@admin.register(Route)
class RouteAdmin(ModelAdmin):
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
        name = Route.objects.values_list("name", flat=True).get(pk=object_id)
        return redirect(f"{reverse('admin:gateway_route_test_name')}?{urlencode({'name': name})}")

    @display(description=_("answered by"))
    def answered_by(self, route: Route) -> str:
        targets = route.targets.all()
        total = sum(target.weight for target in targets)
        if not total:
            return gettext("nobody: give a target a weight")
        return ", ".join(f"{target.model} {100 * target.weight / total:.4g} %" for target in targets)

    @display(description=_("else"))
    def then(self, route: Route) -> str:
        return " → ".join(str(fallback) for fallback in route.fallbacks.all()) or "–"


def _is_kept(form: Any) -> bool:
    return form.is_valid() and bool(form.cleaned_data.get("model")) and not form.cleaned_data.get("DELETE")
