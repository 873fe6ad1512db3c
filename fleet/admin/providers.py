"""Providers in admin: their keys, which are written and never read; a test; their models, to choose from."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext, pgettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import StackedInline
from unfold.decorators import action, display

from fleet.admin.acting import row_of
from fleet.admin.live import LiveModelAdmin, badge, leave_dialog, live_place
from fleet.errors import ActRefused, ProviderFault
from fleet.fragments import provider_badge
from fleet.models import Provider, ProviderModel
from fleet.provider_catalogue import import_models, read_catalogue
from fleet.provider_forms import ImportForm, ProviderForm, ProviderModelForm
from fleet.provider_overview import provider_view
from fleet.providing import ask


class ProviderModelInline(StackedInline):
    model = ProviderModel
    form = ProviderModelForm
    extra = 0
    verbose_name_plural = _("Models offered here; prices are for a million tokens")
    autocomplete_fields: ClassVar = ["model"]
    fieldsets = (
        (None, {"fields": (("upstream_name", "model"), ("capabilities", "is_enabled"))}),
        (None, {"fields": (("max_concurrency", "context_length", "max_output_tokens"),)}),
        (None, {"fields": (("input_price", "cached_input_price", "output_price"),)}),
    )
    collapsible = True


@admin.register(Provider)
class ProviderAdmin(LiveModelAdmin):
    form = ProviderForm
    live_kind = "provider"
    list_display = ("name", "kind", "live_state", "key_badge", "created_at")
    list_filter = ("kind", "is_enabled")
    search_fields = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "kind", "base_url", "api_key", "forget_key", "is_enabled")}),
        (_("How much"), {"fields": ("max_requests_per_minute", "max_tokens_per_minute")}),
        (_("Special cases"), {"fields": ("headers", "api_version", "ca_certificate"), "classes": ("collapse",)}),
    )
    inlines: ClassVar = [ProviderModelInline]
    actions_detail: ClassVar = ["import_models", "test"]

    @display(description=_("state"))
    def live_state(self, provider: Provider) -> SafeString:
        return live_place(f"provider-badge:{provider.pk}", provider_badge(provider_view(provider)))

    @display(description=_("API key"))
    def key_badge(self, provider: Provider) -> SafeString:
        if provider.credential:
            return badge(pgettext("key", "set"), "success")
        return badge(pgettext("key", "none"), "neutral")

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        form.keep_key(obj)

    @action(
        description=_("Test"),
        permissions=["change"],
        icon="network_check",
        dialog={
            "title": _("Ask this provider for its models?"),
            "description": _("With the address and the key that are saved. Nothing is charged for it."),
            "form_submit_text": _("Ask"),
        },
    )
    def test(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        provider = row_of(Provider, object_id)
        try:
            catalogue = ask(provider)
        except ProviderFault as fault:
            messages.error(request, _complaint(provider, fault))
        else:
            messages.success(
                request,
                ngettext(
                    "%(name)s answered in %(ms)d ms: it has %(num)d model.",
                    "%(name)s answered in %(ms)d ms: it has %(num)d models.",
                    len(catalogue.names),
                )
                % {"name": provider.name, "ms": catalogue.elapsed_ms, "num": len(catalogue.names)},
            )
        return leave_dialog(request, reverse("admin:fleet_provider_change", args=[object_id]))

    @action(description=_("Add models"), permissions=["change"], icon="playlist_add")
    def import_models(self, request: HttpRequest, object_id: str) -> HttpResponse:
        provider = row_of(Provider, object_id)
        page = reverse("admin:fleet_provider_change", args=[object_id])
        try:
            names = read_catalogue(provider).names
        except ProviderFault as fault:
            messages.error(request, _complaint(provider, fault))
            return redirect(page)
        form = ImportForm(names, request.POST or None)
        if not form.is_valid():
            return self._choice(request, provider, form)
        try:
            added = import_models(provider, form.cleaned_data["names"])
        except ActRefused as refused:
            form.add_error("names", str(refused))
            return self._choice(request, provider, form)
        self.log_change(request, provider, gettext("Models added: %(num)d.") % {"num": len(added)})
        messages.success(request, gettext("Models added: %(num)d.") % {"num": len(added)})
        return redirect(page)

    def _choice(self, request: HttpRequest, provider: Provider, form: ImportForm) -> HttpResponse:
        offered = set(provider.models.values_list("upstream_name", flat=True))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Models of %(name)s") % {"name": provider.name},
            "form": form,
            "offered": offered,
            "opts": self.opts,
            "back_url": reverse("admin:fleet_provider_change", args=[provider.pk]),
        }
        return TemplateResponse(request, "fleet/provider_models.html", context)


def _complaint(provider: Provider, fault: ProviderFault) -> str:
    return gettext("%(name)s: %(failure)s. It says: %(words)s") % {
        "name": provider.name,
        "failure": fault.failure.label,
        "words": fault,
    }
