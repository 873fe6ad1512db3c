"""Content policies in admin: what may not be said, and a box to try a text in."""

from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from audit.admin_base import AuditedAdmin
from fleet.admin.live import badge
from gateway.models import ContentAction, ContentPolicy
from gateway.moderation.matching import BadLine, TooLarge, lines_of, matcher

_TONES = {ContentAction.OFF: "neutral", ContentAction.MARK: "warning", ContentAction.REFUSE: "danger"}
_SHOWN_AROUND_CHARS = 80


class TrialForm(forms.Form):
    """A text, and by which policy."""

    text = forms.CharField(label=_("Text"), max_length=100_000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 5}))
    policy = forms.ModelChoiceField(
        ContentPolicy.objects.all(),
        label=_("Policy"),
        required=False,
        empty_label=_("all of them"),
        widget=UnfoldAdminSelectWidget,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one policy says of the text."""

    policy: ContentPolicy
    before: str = ""
    found: str = ""
    after: str = ""


@admin.register(ContentPolicy)
class ContentPolicyAdmin(AuditedAdmin):
    list_display = ("name", "questions", "answers", "looks_for", "holds_for")
    search_fields = ("name",)
    autocomplete_fields = ("classifier", "for_models", "for_teams")
    fieldsets = (
        (None, {"fields": ("name", ("on_input", "on_output"))}),
        (_("What it looks for"), {"fields": ("words", "patterns", "classifier", "threshold")}),
        (_("For whom"), {"fields": ("for_models", "for_teams")}),
        (_("How"), {"fields": ("hold_back", "keeps_text")}),
    )
    actions_list: ClassVar = ["try_text"]
    actions_detail: ClassVar = ["try_policy"]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        form.instance.keep_for_whom()

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContentPolicy]:
        return super().get_queryset(request).select_related("classifier").prefetch_related("for_models", "for_teams")

    @action(description=_("Try a text"), permissions=["view"], icon="troubleshoot")
    def try_text(self, request: HttpRequest) -> HttpResponse:
        form = TrialForm(request.POST or None, initial={"policy": request.GET.get("policy")})
        page = {**self.admin_site.each_context(request), "opts": self.opts, "title": gettext("Try a text")}
        trials = _trials(**form.cleaned_data) if form.is_bound and form.is_valid() else None
        return TemplateResponse(request, "gateway/content_try.html", {**page, "form": form, "trials": trials})

    @action(description=_("Try a text"), permissions=["view"], icon="troubleshoot")
    def try_policy(self, request: HttpRequest, object_id: str) -> HttpResponse:
        page = reverse("admin:gateway_contentpolicy_try_text")
        return redirect(f"{page}?{urlencode({'policy': object_id})}")

    @display(description=_("in questions"), ordering="on_input")
    def questions(self, policy: ContentPolicy) -> SafeString:
        return _badge(policy.on_input)

    @display(description=_("in answers"), ordering="on_output")
    def answers(self, policy: ContentPolicy) -> SafeString:
        return _badge(policy.on_output)

    @display(description=_("looks for"))
    def looks_for(self, policy: ContentPolicy) -> str:
        num_words, num_patterns = _num_lines(policy.words), _num_lines(policy.patterns)
        words = ngettext("%(num)d word", "%(num)d words", num_words) % {"num": num_words}
        patterns = ngettext("%(num)d pattern", "%(num)d patterns", num_patterns) % {"num": num_patterns}
        classifier = [policy.classifier.name] if policy.classifier else []
        return ", ".join([words, patterns, *classifier])

    @display(description=_("for whom"))
    def holds_for(self, policy: ContentPolicy) -> SafeString | str:
        if policy.holds_for_nobody:
            return badge(gettext("nobody any more"), "warning")
        models = ", ".join(model.name for model in policy.for_models.all()) or gettext("all models")
        teams = ", ".join(team.name for team in policy.for_teams.all()) or gettext("everybody")
        return f"{models} · {teams}"


def _trials(text: str, policy: ContentPolicy | None) -> list[Trial]:
    return [_trial(one, text) for one in ([policy] if policy else ContentPolicy.objects.all())]


def _trial(policy: ContentPolicy, text: str) -> Trial:
    try:
        match = matcher(policy.words, policy.patterns).find(text)
    except (BadLine, TooLarge):
        match = None
    if match is None:
        return Trial(policy=policy)
    return Trial(
        policy=policy,
        before=match.text[max(0, match.start - _SHOWN_AROUND_CHARS) : match.start],
        found=match.text[match.start : match.end],
        after=match.text[match.end : match.end + _SHOWN_AROUND_CHARS],
    )


def _badge(chosen: str) -> SafeString:
    return badge(str(ContentAction(chosen).label), _TONES[ContentAction(chosen)])


def _num_lines(text: str) -> int:
    return sum(1 for line in lines_of(text) if line)
