"""API keys and usage in admin."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.timezone import localtime, now
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminSelectWidget

from fleet.admin.live import DeletedOnlyAlong, badge, leave_dialog
from fleet.models import LanguageModel
from gateway.issued import show_issued_key
from gateway.issuing import issue_key, revoke_key
from gateway.models import APIKey, CountSource, UsageRecord

_TONES = {"complete": "success", "cut_by_client": "info", "refused": "warning"} | dict.fromkeys(
    ("cut_by_upstream", "failed"), "danger"
)
DAYS = [(30, _("30 days")), (90, _("90 days")), (365, _("1 year")), (0, _("no limit"))]


class IssueKeyForm(forms.ModelForm):
    valid_for = forms.TypedChoiceField(
        label=_("valid for"), choices=DAYS, coerce=int, initial=90, widget=UnfoldAdminSelectWidget
    )

    class Meta:
        model = APIKey
        fields = ("name", "owner")
        help_texts: ClassVar = {
            "name": _("Which program uses it, such as “nightly report”."),
            "owner": _("Whose usage it counts as."),
        }


@admin.register(APIKey)
class APIKeyAdmin(DeletedOnlyAlong):
    """Keys are revoked, not deleted, as usage refers to them; only their owner takes them along."""

    list_display = ("name", "hint", "owner", "state", "created_at", "expires_at")
    list_filter = (("owner", admin.RelatedOnlyFieldListFilter), ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("owner",)
    search_fields = ("name", "hint", "owner__username")
    add_fieldsets = ((None, {"fields": ("name", "owner", "valid_for")}),)
    fields = ("name", "hint", "owner", "state", "expires_at", "created_at", "revoked_at")
    readonly_fields = ("hint", "owner", "state", "created_at", "revoked_at")
    actions_detail: ClassVar = ["revoke"]
    actions_row: ClassVar = ["revoke"]

    @display(description=_("state"))
    def state(self, key: APIKey) -> SafeString:
        if key.revoked_at:
            return badge(pgettext("key", "revoked"), "danger")
        if key.is_expired:
            return badge(pgettext("key", "expired"), "warning")
        return badge(pgettext("key", "usable"), "success")

    @action(
        description=_("Revoke"),
        permissions=["change"],
        icon="block",
        variant=ActionVariant.DANGER,
        dialog={
            "title": _("Revoke this API key?"),
            "description": _("Programs that use it are refused within a second. This cannot be undone."),
            "form_submit_text": _("Revoke"),
        },
    )
    def revoke(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        key = APIKey.objects.get(pk=object_id)
        if revoke_key(key):
            self.log_change(request, key, gettext("Revoked."))
            messages.success(request, gettext("“%(name)s” is revoked.") % {"name": key.name})
        return leave_dialog(request, reverse("admin:gateway_apikey_changelist"))

    def get_form(self, request: HttpRequest, obj: APIKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = IssueKeyForm
        return super().get_form(request, obj, change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: APIKey | None = None) -> tuple[str, ...]:
        return self.readonly_fields if obj else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: APIKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        days = form.cleaned_data["valid_for"]
        key, text = issue_key(obj.owner, obj.name, now() + timedelta(days=days) if days else None)
        # The text is for response_add, on this object only: it is written nowhere.
        vars(obj).update(vars(key), issued_secret=text)

    def response_add(self, request: HttpRequest, obj: APIKey, post_url_continue: str | None = None) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "list_url": reverse("admin:gateway_apikey_changelist"),
        }
        return show_issued_key(request, "gateway/key_issued_admin.html", obj, vars(obj)["issued_secret"], context)


class UsedModelFilter(admin.SimpleListFilter):
    """By the models there are: to ask the records themselves which names occur would read them all."""

    title = _("model")
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in LanguageModel.objects.values_list("name", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        return queryset.filter(model=self.value()) if self.value() else queryset


@admin.register(UsageRecord)
class UsageRecordAdmin(ModelAdmin):
    """To look at. The list counts nothing that it need not: it must open as fast at ten million rows as at ten."""

    list_display = ("time", "user_name", "key_name", "model", "state_badge", "tokens", "duration", "request_id")
    list_filter = ("state", UsedModelFilter, "endpoint", ("created_at", RangeDateTimeFilter))
    paginator = InfinitePaginator
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("=request_id",)
    search_help_text = _("Request id, whole")
    ordering: ClassVar = ["-created_at"]

    @display(description=_("time"), ordering="created_at")
    def time(self, record: UsageRecord) -> str:
        return f"{localtime(record.created_at):%Y-%m-%d %H:%M:%S}"

    @display(description=_("state"), ordering="state")
    def state_badge(self, record: UsageRecord) -> SafeString:
        text = (
            f"{record.get_state_display()} · {record.error_code}" if record.error_code else record.get_state_display()
        )
        return badge(text, _TONES.get(record.state, "neutral"))

    @display(description=_("tokens (prompt → completion)"))
    def tokens(self, record: UsageRecord) -> str:
        mark = "~" if record.count_source == CountSource.ESTIMATED else ""
        return f"{record.prompt_tokens} → {mark}{record.completion_tokens}"

    @display(description=_("first token, all (ms)"), ordering="duration_ms")
    def duration(self, record: UsageRecord) -> str:
        first = "–" if record.time_to_first_token_ms is None else f"{record.time_to_first_token_ms:.0f}"
        return f"{first}, {record.duration_ms:.0f}"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
