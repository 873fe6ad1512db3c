"""People and groups in admin."""

from typing import ClassVar

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.models import Team, User

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "team", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("team", *DjangoUserAdmin.list_filter)
    list_select_related = ("team",)
    fieldsets = (*(DjangoUserAdmin.fieldsets or ()), (_("Team"), {"fields": ("team",)}))


@admin.register(Team)
class TeamAdmin(ModelAdmin):
    """Who belongs to a team is said on the page of each person."""

    list_display = ("name", "weight", "members_link")
    search_fields = ("name",)
    ordering: ClassVar = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        return super().get_queryset(request).annotate(num_members=Count("members"))

    @display(description=_("members"), ordering="num_members")
    def members_link(self, team: Team) -> SafeString:
        url = f"{reverse('admin:accounts_user_changelist')}?team__id__exact={team.pk}"
        return format_html('<a class="flt-link" href="{}">{}</a>', url, getattr(team, "num_members", 0))


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Sets of permissions that people can be given together."""
