"""The terms of use in admin: a list of versions, and a form for the next."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.models import Terms
from audit.admin_base import AuditedAdmin


@admin.register(Terms)
class TermsAdmin(AuditedAdmin):
    """What people agreed to is never changed afterwards: there is only a next version."""

    list_display = ("__str__", "published_at", "published_by", "num_accepted")
    list_select_related = ("published_by",)
    fields = ("text",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Terms]:
        return super().get_queryset(request).annotate(num_accepted=Count("accepted_by"))

    @display(description=_("accepted by"), ordering="num_accepted")
    def num_accepted(self, terms: Terms) -> int:
        return getattr(terms, "num_accepted", 0)

    def has_change_permission(self, request: HttpRequest, obj: Terms | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Terms | None = None) -> bool:
        return False

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        newest = Terms.objects.first()
        return {"text": newest.text if newest else ""}

    def save_model(self, request: HttpRequest, obj: Terms, form: Any, change: bool) -> None:
        obj.published_by_id = request.user.pk
        super().save_model(request, obj, form, change)
