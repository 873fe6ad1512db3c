"""The rules of signing in, in admin: one row."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from accounts.models import SignInRules
from audit.admin_base import AuditedAdmin


@admin.register(SignInRules)
class SignInRulesAdmin(AuditedAdmin):
    list_display = ("__str__",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not SignInRules.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
