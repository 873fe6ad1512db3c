"""What admin's fleet pages share: places that the socket keeps true, and the answer to a confirmed action."""

from typing import Any, ClassVar

from django.db.models import Model
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from fleet.badges import Badge
from fleet.fragments import Fragment, read_fragments


class LiveModelAdmin(ModelAdmin):
    """Its list and its change page follow the fleet without a reload."""

    list_before_template = "fleet/_live_list.html"
    change_form_outer_before_template = "fleet/_live_panel.html"
    live_kind: ClassVar[str] = ""
    """Kind of the fragment that says how one record is; `<kind>-list` tells which records there are."""

    class Media:
        js: ClassVar = [Script("js/fleet.js", type="module")]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "live_list": f"{self.live_kind}-list"})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Model | None = None, **kwargs: Any
    ) -> HttpResponse:
        context["live_panel"] = live_panel(f"{self.live_kind}:{obj.pk}") if obj else ""
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)


class DeletedOnlyAlong(ModelAdmin):
    """Rows that nobody deletes by themselves; they go when what they belong to is deleted, as permissions allow."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        is_own_page = getattr(request.resolver_match and request.resolver_match.func, "model_admin", None) is self
        return not is_own_page and super().has_delete_permission(request, obj)


def badge(text: str, tone: str) -> SafeString:
    """A state in the looks that states have on all of these pages."""
    return SafeString(Fragment("fleet/_badge.html", {"badge": Badge(text=text, tone=tone)}).render())


def live_place(key: str, fragment: Fragment | None) -> SafeString:
    """The fragment as it is now, in a place that the socket swaps."""
    html = SafeString(fragment.render()) if fragment else "–"
    return format_html('<div data-live="{}">{}</div>', key, html)


def live_panel(key: str) -> SafeString:
    """The same for one record's own page; reads the fleet."""
    return live_place(key, read_fragments({key}).get(key))


def leave_dialog(request: HttpRequest, url: str) -> HttpResponse:
    """Where to go after a confirmed action; the dialog posts by htmx, which follows this header and no 302."""
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": url})
    return redirect(url)
