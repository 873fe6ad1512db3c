"""People and groups in admin."""

from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.factors import forget_factors
from accounts.limits import BUDGETS, RATES
from accounts.models import Team, User
from accounts.permission_names import PermissionsField
from audit.admin_base import AuditedAdmin

admin.site.unregister(Group)
# Of allauth's own records nothing is edited here.
admin.site.unregister([EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken])


LIMIT_FIELDSETS = (
    (_("Rates"), {"fields": RATES, "description": _("Empty is without limit.")}),
    (
        _("Budgets"),
        {
            "fields": (BUDGETS[:3], BUDGETS[3:]),
            "description": _("What is beyond a budget is refused until its period ends."),
        },
    ),
)


class PermittingAdmin(AuditedAdmin):
    """Where permissions are given, under names that are translated."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.related_model is Permission:
            kwargs["form_class"] = PermissionsField
        return super().formfield_for_manytomany(db_field, request, **kwargs)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, PermittingAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = (
        "username",
        "email",
        "team",
        "team_role",
        "is_service",
        "is_active",
        "is_staff",
        "is_superuser",
        "last_login",
    )
    list_filter = ("team", "team_role", "is_service", *DjangoUserAdmin.list_filter)
    list_select_related = ("team",)
    actions_detail: ClassVar = ["forget_factors"]
    fieldsets = (
        *(DjangoUserAdmin.fieldsets or ()),
        (_("Team"), {"fields": ("team", "team_role", "is_service")}),
        (_("Terms of use"), {"fields": ("accepted_terms", "accepted_terms_at")}),
    )
    readonly_fields = ("accepted_terms", "accepted_terms_at")

    @action(
        description=_("Forget second factors"),
        permissions=["change"],
        icon="phonelink_erase",
        dialog={
            "title": _("Forget the second factors of this person?"),
            "description": _("For somebody who has lost them: sign-in asks for the password alone from then on."),
            "form_submit_text": _("Forget them"),
        },
    )
    def forget_factors(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        user = User.objects.get(pk=object_id)
        num_factors = forget_factors(user)
        self.log_change(request, user, "forgot the second factors")
        messages.success(request, gettext("Forgotten: %(number)s.") % {"number": num_factors})
        url = reverse("admin:accounts_user_change", args=[object_id])
        # The dialog posts by htmx, which follows this header and no 302.
        return HttpResponse(headers={"HX-Redirect": url}) if request.headers.get("HX-Request") else redirect(url)


@admin.register(Team)
class TeamAdmin(AuditedAdmin):
    """Who belongs to a team is said on the page of each person."""

    list_display = ("name", "weight", "members_link")
    search_fields = ("name",)
    ordering: ClassVar = ["name"]
    fieldsets = ((None, {"fields": ("name", "weight")}), *LIMIT_FIELDSETS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        return super().get_queryset(request).annotate(num_members=Count("members"))

    @display(description=_("members"), ordering="num_members")
    def members_link(self, team: Team) -> SafeString:
        url = f"{reverse('admin:accounts_user_changelist')}?team__id__exact={team.pk}"
        return format_html('<a class="flt-link" href="{}">{}</a>', url, getattr(team, "num_members", 0))


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, PermittingAdmin):
    """Sets of permissions that people can be given together."""
