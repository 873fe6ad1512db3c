"""Models in admin: the names that callers use."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from audit.admin_base import AuditedAdmin
from fleet.models import LanguageModel


@admin.register(LanguageModel)
class LanguageModelAdmin(AuditedAdmin):
    list_display = ("name", "description", "balancing_policy", "deployments_link", "created_at")
    search_fields = ("name", "description")
    fields = (
        "name",
        "description",
        "balancing_policy",
        "only_by_route",
        "max_concurrency",
        "max_queue_length",
        "max_queue_wait_s",
        ("input_price", "cached_input_price", "output_price"),
        "created_at",
    )
    readonly_fields = ("created_at",)
    ordering: ClassVar = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[LanguageModel]:
        return super().get_queryset(request).annotate(num_deployments=Count("deployments"))

    @display(description=_("deployments"), ordering="num_deployments")
    def deployments_link(self, model: LanguageModel) -> SafeString:
        count: int = getattr(model, "num_deployments", 0)
        if not count:
            url = f"{reverse('admin:fleet_deployment_add')}?model={model.pk}"
            return format_html('<a class="flt-link" href="{}">{}</a>', url, gettext("Deploy it"))
        url = f"{reverse('admin:fleet_deployment_changelist')}?model__id__exact={model.pk}"
        text = ngettext("%(count)d deployment", "%(count)d deployments", count) % {"count": count}
        return format_html('<a class="flt-link" href="{}">{}</a>', url, text)
