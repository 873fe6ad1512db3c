"""API keys in admin: issued here, shown once, revoked here."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.timezone import now
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from fleet.admin.live import DeletedOnlyAlong, badge, leave_dialog
from gateway.issued import show_issued_key
from gateway.issuing import issue_key, revoke_key
from gateway.models import APIKey, KeyScope
from gateway.models.api_key import inference_only

DAYS = [(30, _("30 days")), (90, _("90 days")), (365, _("1 year")), (0, _("no limit"))]


class IssueKeyForm(forms.ModelForm):
    valid_for = forms.TypedChoiceField(
        label=_("valid for"), choices=DAYS, coerce=int, initial=90, widget=UnfoldAdminSelectWidget
    )

    scopes = forms.MultipleChoiceField(
        label=_("good for"),
        choices=KeyScope,
        initial=inference_only,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("A key that manages the fleet may do what its owner may do in this admin."),
    )

    class Meta:
        model = APIKey
        fields = ("name", "owner", "scopes")
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
    add_fieldsets = ((None, {"fields": ("name", "owner", "scopes", "valid_for")}),)
    fields = ("name", "hint", "owner", "good_for", "state", "expires_at", "created_at", "revoked_at")
    readonly_fields = ("hint", "owner", "good_for", "state", "created_at", "revoked_at")
    actions_detail: ClassVar = ["revoke"]
    actions_row: ClassVar = ["revoke"]

    @display(description=_("state"))
    def state(self, key: APIKey) -> SafeString:
        if key.revoked_at:
            return badge(pgettext("key", "revoked"), "danger")
        if key.is_expired:
            return badge(pgettext("key", "expired"), "warning")
        return badge(pgettext("key", "usable"), "success")

    @display(description=_("good for"))
    def good_for(self, key: APIKey) -> str:
        return ", ".join(str(KeyScope(scope).label) for scope in key.scopes)

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
        expires_at = now() + timedelta(days=days) if days else None
        key, text = issue_key(obj.owner, obj.name, expires_at, scopes=form.cleaned_data["scopes"])
        # The text is for response_add, on this object only: it is written nowhere.
        vars(obj).update(vars(key), issued_secret=text)

    def response_add(self, request: HttpRequest, obj: APIKey, post_url_continue: str | None = None) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "list_url": reverse("admin:gateway_apikey_changelist"),
        }
        return show_issued_key(request, "gateway/key_issued_admin.html", obj, vars(obj)["issued_secret"], context)
