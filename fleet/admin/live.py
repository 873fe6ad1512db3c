"""What admin's fleet pages share: places that the socket keeps true, and the answer to a confirmed action."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django.db.models import Model
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString

from audit.admin_base import AuditedAdmin
from fleet.badges import Badge
from fleet.fragments import Fragment, read_fragments


class LiveModelAdmin(AuditedAdmin):
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
        context["may"] = may(request)
        context["live_panel"] = live_panel(f"{self.live_kind}:{obj.pk}") if obj else ""
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)


class CardListAdmin(LiveModelAdmin):
    """Its list is made of cards, each of which tells all of one record."""

    change_list_template = "fleet/card_list.html"
    actions_selection_counter = False
    nothing_template: ClassVar[str] = ""
    """What an empty list says."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().changelist_view(request, {**(extra_context or {}), "may": may(request)})
        # Something else than the list is answered to an action, or to a filter that makes no sense.
        if isinstance(response, TemplateResponse) and "cl" in (response.context_data or {}):
            response.context_data["cards"] = self._cards(response.context_data["cl"].result_list)  # type: ignore[index]
        return response

    def _cards(self, rows: Iterable[Model]) -> list[tuple[Model, SafeString]]:
        kind = f"{self.live_kind}-card"
        cards = read_fragments({kind})
        return [(row, live_place(key, cards.get(key))) for row in rows for key in (f"{kind}:{row.pk}",)]


class DeletedOnlyAlong(AuditedAdmin):
    """Rows that nobody deletes by themselves; they go when what they belong to is deleted, as permissions allow."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        is_own_page = getattr(request.resolver_match and request.resolver_match.func, "model_admin", None) is self
        return not is_own_page and super().has_delete_permission(request, obj)


def may(request: HttpRequest) -> str:
    """The CSS classes that show the buttons of what this person may do: what the socket sends is the same for all."""
    operable = (model for model in ("worker", "deployment") if request.user.has_perm(f"fleet.change_{model}"))
    return " ".join(f"flt-may-{model}" for model in operable)


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


def back(request: HttpRequest, otherwise: str) -> HttpResponse:
    """To the page on which the dialog was opened."""
    page = request.headers.get("HX-Current-URL", "")
    is_ours = url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=request.is_secure())
    return leave_dialog(request, page if is_ours else otherwise)


def leave_dialog(request: HttpRequest, url: str) -> HttpResponse:
    """Where to go after a confirmed action; the dialog posts by htmx, which follows this header and no 302."""
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": url})
    return redirect(url)
