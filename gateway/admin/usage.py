"""Usage in admin, record by record."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from audit.admin_base import AuditedAdmin
from fleet.admin.live import badge
from fleet.models import LanguageModel
from gateway.models import ContentPolicy, CountSource, UsageRecord

_TONES = {"complete": "success", "cut_by_client": "info", "refused": "warning"} | dict.fromkeys(
    ("cut_by_upstream", "cut_by_server", "failed"), "danger"
)


_ANY_POLICY = "*"


class UsedModelFilter(admin.SimpleListFilter):
    """By the models there are: to ask the records themselves which names occur would read them all."""

    title = _("model")
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in LanguageModel.objects.values_list("name", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        return queryset.filter(model=self.value()) if self.value() else queryset


class ContentPolicyFilter(admin.SimpleListFilter):
    """By the policies there are, and by all of them."""

    title = _("content policy")
    parameter_name = "content_policy"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        names = ContentPolicy.objects.values_list("name", flat=True)
        return [(_ANY_POLICY, _("any")), *((name, name) for name in names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        if self.value() == _ANY_POLICY:
            return queryset.exclude(content_policy="")
        return queryset.filter(content_policy=self.value()) if self.value() else queryset


@admin.register(UsageRecord)
class UsageRecordAdmin(AuditedAdmin):
    """To look at. The list counts nothing that it need not: it must open as fast at ten million rows as at ten."""

    list_display = ("time", "user_name", "key_name", "served_by", "state_badge", "tokens", "duration", "request_id")
    list_filter = ("state", UsedModelFilter, "endpoint", ContentPolicyFilter, ("created_at", RangeDateTimeFilter))
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

    @display(description=_("model"), ordering="model")
    def served_by(self, record: UsageRecord) -> str:
        is_routed = record.requested_model not in ("", record.model)
        return f"{record.requested_model} → {record.model}" if is_routed else record.model

    @display(description=_("state"), ordering="state")
    def state_badge(self, record: UsageRecord) -> SafeString:
        text = (
            f"{record.get_state_display()} · {record.error_code}" if record.error_code else record.get_state_display()
        )
        return badge(text, _TONES.get(record.state, "neutral"))

    @display(description=_("tokens (prompt → completion)"))
    def tokens(self, record: UsageRecord) -> str:
        mark = "~" if record.count_source == CountSource.ESTIMATED else ""
        cached = gettext(" (%(num)d cached)") % {"num": record.cached_tokens} if record.cached_tokens else ""
        thought = gettext(" (%(num)d reasoning)") % {"num": record.reasoning_tokens} if record.reasoning_tokens else ""
        return f"{record.prompt_tokens}{cached} → {mark}{record.completion_tokens}{thought}"

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
