"""Teams in admin, with what is left of their limits: accounts know nothing of use."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.admin import TeamAdmin
from accounts.models import Team
from gateway.admin.limits_panel import PANEL, LimitsPanel

admin.site.unregister(Team)


@admin.register(Team)
class MeteredTeamAdmin(LimitsPanel, TeamAdmin):
    readonly_fields = ("limits_now",)

    def get_fieldsets(self, request: HttpRequest, obj: Team | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return (*fieldsets, PANEL) if obj else fieldsets
