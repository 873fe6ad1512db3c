"""The audit log in admin: to be searched and exported, never changed."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.apps import apps
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timezone import localtime, now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import action, display
from unfold.paginator import InfinitePaginator

from audit.csv_lines import csv_line, plain_text
from audit.models import AuditEntry

_COLUMNS = ("at", "actor_name", "door", "act", "object_kind", "object_id", "object_name", "before", "after", "address")

_ACTS = {
    "added": _("added"),
    "changed": _("changed"),
    "deleted": _("deleted"),
    "issued": _("issued"),
    "revoked": pgettext_lazy("key", "revoked"),
    "signed in": _("signed in"),
    "signed out": _("signed out"),
    "sign-in failed": _("sign-in failed"),
    "create": _("added"),
    "update": _("changed"),
    "partial_update": _("changed"),
    "destroy": _("deleted"),
}


@admin.register(AuditEntry)
class AuditEntryAdmin(ModelAdmin):
    """Counts nothing that it need not, as the list of usage records."""

    list_display = ("time", "actor_name", "door", "act_shown", "kind_shown", "object_name", "address")
    list_filter = ("door", ("at", RangeDateTimeFilter))
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    paginator = InfinitePaginator
    show_full_result_count = False
    search_fields = ("actor_name", "act", "object_kind", "object_name", "=object_id", "=address")
    search_help_text = _("Who, what, on which object, or from where")
    fields = ("time", "actor_name", "door", "act_shown", "kind_shown", "object_id", "object_name", "changes", "address")
    readonly_fields = fields
    actions_list: ClassVar = ["export"]

    @display(description=_("time"), ordering="at")
    def time(self, entry: AuditEntry) -> str:
        return f"{localtime(entry.at):%Y-%m-%d %H:%M:%S}"

    @display(description=_("act"))
    def act_shown(self, entry: AuditEntry) -> str:
        """An act without a translation is a program's: as it was called."""
        return str(_ACTS.get(entry.act, entry.act))

    @display(description=_("kind"))
    def kind_shown(self, entry: AuditEntry) -> str:
        try:
            return str(capfirst(apps.get_model(entry.object_kind)._meta.verbose_name))
        except (LookupError, ValueError):
            return entry.object_kind or "–"

    @display(description=_("before → after"))
    def changes(self, entry: AuditEntry) -> SafeString:
        names = [*entry.before, *(name for name in entry.after if name not in entry.before)]
        rows = ((name, _text(entry.before.get(name)), _text(entry.after.get(name))) for name in names)
        lines = format_html_join("", "<tr><th>{}</th><td>{}</td><td>{}</td></tr>", rows)
        return format_html('<table class="flt-table"><tbody>{}</tbody></table>', lines) if names else SafeString("–")

    @action(description=_("Export as CSV"), permissions=["view"], icon="download")
    def export(self, request: HttpRequest) -> HttpResponseBase:
        """All that the list's filters and search let through; the button knows them only by the page it stood on."""
        came_from = urlsplit(request.headers.get("Referer", ""))
        if came_from.query and not request.GET and came_from.path == reverse("admin:audit_auditentry_changelist"):
            return redirect(f"{request.path}?{came_from.query}")
        found = self.get_changelist_instance(request).get_queryset(request)
        name = f"audit-{now():%Y-%m-%d}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingHttpResponse(_lines(found), content_type="text/csv; charset=utf-8", headers=headers)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


async def _lines(entries: QuerySet[AuditEntry]) -> Any:
    yield "\ufeff".encode() + csv_line(_COLUMNS)
    async for entry in entries.aiterator(chunk_size=500):
        yield csv_line(_cells(entry))


def _cells(entry: AuditEntry) -> Iterator[str]:
    for name in _COLUMNS:
        value = getattr(entry, name)
        text = localtime(value).isoformat() if name == "at" else _text(value)
        yield plain_text(text)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
