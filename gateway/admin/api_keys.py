"""API keys in admin: issued here, shown once, governed and revoked here."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.timezone import localtime, now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.admin import LIMIT_FIELDSETS
from accounts.limits import LIMITS
from fleet.admin.live import DeletedOnlyAlong, badge
from gateway.admin.key_actions import KeyActions
from gateway.admin.key_forms import IssueKeyForm, KeyForm
from gateway.admin.limits_panel import PANEL, LimitsPanel
from gateway.issued import show_issued_key
from gateway.issuing import issue_key
from gateway.models import APIKey, KeyState

TONES = {KeyState.REVOKED: "danger", KeyState.DISABLED: "warning", KeyState.EXPIRED: "warning"}
_TERMS = ("team", "allowed_models", "networks", *LIMITS)


@admin.register(APIKey)
class APIKeyAdmin(LimitsPanel, KeyActions, DeletedOnlyAlong):
    """Keys are revoked, not deleted, as usage refers to them; only their owner takes them along."""

    form = KeyForm
    list_display = ("name", "hint", "owner", "team", "state", "last_use", "expires_at")
    list_filter = (
        ("team", admin.RelatedOnlyFieldListFilter),
        ("owner", admin.RelatedOnlyFieldListFilter),
        ("revoked_at", admin.EmptyFieldListFilter),
        ("disabled_at", admin.EmptyFieldListFilter),
    )
    list_select_related = ("owner", "team")
    search_fields = ("name", "hint", "previous_hint", "owner__username", "team__name")
    autocomplete_fields = ("team",)
    add_fieldsets = (
        (None, {"fields": ("name", "owner", "team", "valid_for")}),
        (_("What it may do"), {"fields": ("scopes", "allowed_models", "networks")}),
        *LIMIT_FIELDSETS,
    )
    fieldsets = (
        (None, {"fields": ("name", "hint", "state", "owner", "team", "expires_at")}),
        (_("What it may do"), {"fields": ("scopes", "allowed_models", "networks")}),
        PANEL,
        *LIMIT_FIELDSETS,
        (_("History"), {"fields": ("last_use", "rotation", "created_at", "disabled_at", "revoked_at")}),
    )
    readonly_fields = (
        "hint", "owner", "state", "limits_now", "last_use", "rotation", "created_at", "disabled_at", "revoked_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[APIKey]:
        return super().get_queryset(request).select_related("owner__team", "team")

    @display(description=_("state"))
    def state(self, key: APIKey) -> SafeString:
        return badge(str(key.state.label), TONES.get(key.state, "success"))

    @display(description=_("last used"), ordering="last_used_at")
    def last_use(self, key: APIKey) -> str:
        if key.last_used_at is None:
            return gettext("never")
        when = date_format(localtime(key.last_used_at), "SHORT_DATETIME_FORMAT")
        return f"{when} · {key.last_used_from}" if key.last_used_from else when

    @display(description=_("rotation"))
    def rotation(self, key: APIKey) -> str:
        until = key.previous_good_until
        if until is None:
            return gettext("one secret")
        text = gettext("two secrets: %(hint)s opens until %(until)s, and was %(use)s")
        used_at = key.previous_used_at
        use = gettext("not used since the rotation")
        if used_at:
            use = gettext("last used %(when)s") % {"when": date_format(localtime(used_at), "SHORT_DATETIME_FORMAT")}
        when = date_format(localtime(until), "SHORT_DATETIME_FORMAT")
        return text % {"hint": key.previous_hint, "until": when, "use": use}

    def get_form(self, request: HttpRequest, obj: APIKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = IssueKeyForm
        form: Any = super().get_form(request, obj, change, **kwargs)
        # A class of this request's own: Django makes one each time.
        form.actor = request.user
        return form

    def get_readonly_fields(self, request: HttpRequest, obj: APIKey | None = None) -> tuple[str, ...]:
        return self.readonly_fields if obj else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: APIKey, form: Any, change: bool) -> None:
        if change:
            # Only what the form changed: the secrets may have been rotated, and uses written, in the meantime.
            obj.save(update_fields=form.changed_data)
            return
        days = form.cleaned_data["valid_for"]
        expires_at = now() + timedelta(days=days) if days else None
        terms = {name: form.cleaned_data[name] for name in _TERMS}
        key, text = issue_key(obj.owner, obj.name, expires_at, scopes=form.cleaned_data["scopes"], **terms)
        # The text is for response_add, on this object only: it is written nowhere.
        vars(obj).update(vars(key), issued_secret=text)

    def response_add(self, request: HttpRequest, obj: APIKey, post_url_continue: str | None = None) -> HttpResponse:
        return self.show_secret(request, obj, vars(obj)["issued_secret"])

    def show_secret(self, request: HttpRequest, key: APIKey, secret: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "list_url": reverse("admin:gateway_apikey_changelist"),
        }
        return show_issued_key(request, "gateway/key_issued_admin.html", key, secret, context)
