"""What an administrator may decide about an API key, one click and a confirmation each."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from accounts.models import User
from fleet.admin.acting import ActingAdmin, row_of
from fleet.admin.live import leave_dialog
from gateway.admin.key_forms import ONLY_SUPERUSERS, RotateKeyForm
from gateway.admin.key_verdicts import show_verdicts
from gateway.issuing import disable_key, enable_key, end_rotation, may_have_secret, revoke_key, rotate_key
from gateway.models import APIKey, KeyState

_SENSIBLE = {
    KeyState.USABLE: {"why_this", "rotate", "disable", "revoke"},
    KeyState.EXPIRED: {"why_this", "rotate", "disable", "revoke"},
    KeyState.DISABLED: {"why_this", "rotate", "enable", "revoke"},
    KeyState.REVOKED: {"why_this"},
}


class KeyActions(ActingAdmin):
    """Mixed into the keys' admin."""

    actions_list: ClassVar = ["why"]
    actions_detail: ClassVar = ["why_this", "rotate", "end_rotation", "disable", "enable", "revoke"]
    actions_row: ClassVar = ["revoke"]

    def show_secret(self, request: HttpRequest, key: APIKey, secret: str) -> HttpResponse:
        raise NotImplementedError

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Only what makes sense for the key as it is."""
        key = self.get_object(request, object_id)
        if key is None:
            return []
        sensible = _SENSIBLE[key.state] | ({"end_rotation"} if key.previous_good_until else set())
        names = {f"gateway_apikey_{name}" for name in sensible}
        return [act for act in super().get_actions_detail(request, object_id) if act.action_name in names]

    @action(description=_("Why can it not call a model?"), permissions=["view"], icon="troubleshoot")
    def why(self, request: HttpRequest) -> HttpResponse:
        return show_verdicts(request, {**self.admin_site.each_context(request), "opts": self.opts})

    @action(description=_("Why can it not call a model?"), permissions=["view"], icon="troubleshoot")
    def why_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(f"{reverse('admin:gateway_apikey_why')}?{urlencode({'key': object_id})}")

    @action(description=_("Rotate the secret"), permissions=["change"], icon="autorenew")
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = row_of(APIKey, object_id)
        if not may_have_secret(cast(User, request.user), key.owner, key.scopes):
            messages.error(request, ONLY_SUPERUSERS)
            return redirect(reverse("admin:gateway_apikey_change", args=[key.pk]))
        form = RotateKeyForm(request.POST or None)
        if not form.is_valid():
            context = {**self.admin_site.each_context(request), "opts": self.opts, "key": key, "form": form}
            page = {**context, "title": gettext("Rotate the secret")}
            return TemplateResponse(request, "gateway/key_rotate.html", page)
        secret = rotate_key(key, timedelta(hours=form.cleaned_data["grace"]))
        if secret is None:
            messages.error(request, gettext("The key was rotated or revoked by somebody else a moment ago."))
            return redirect(reverse("admin:gateway_apikey_change", args=[key.pk]))
        self.log_change(request, key, gettext("Rotated."))
        return self.show_secret(request, key, secret)

    @action(
        description=_("End the previous secret"),
        permissions=["change"],
        icon="timer_off",
        dialog={
            "title": _("End the previous secret now?"),
            "description": _("Programs that still use it are refused within a second."),
            "form_submit_text": _("End it"),
        },
    )
    def end_rotation(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        return self._done(request, object_id, gettext("The previous secret is ended."), end_rotation)

    @action(
        description=_("Disable"),
        permissions=["change"],
        icon="pause_circle",
        dialog={
            "title": _("Disable this API key?"),
            "description": _("Programs that use it are refused within a second, until you enable it again."),
            "form_submit_text": _("Disable"),
        },
    )
    def disable(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        return self._done(request, object_id, gettext("Disabled."), disable_key)

    @action(
        description=_("Enable"),
        permissions=["change"],
        icon="play_circle",
        dialog={
            "title": _("Enable this API key again?"),
            "description": _("Programs that use it are served again within a second."),
            "form_submit_text": _("Enable"),
        },
    )
    def enable(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        return self._done(request, object_id, gettext("Enabled."), enable_key)

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
    def revoke(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        return self._done(request, object_id, gettext("Revoked."), revoke_key)

    def _done(self, request: HttpRequest, object_id: str, done: str, act: Callable[[APIKey], bool]) -> HttpResponse:
        key = row_of(APIKey, object_id)
        self.act(request, key, done, partial(act, key))
        return leave_dialog(request, reverse("admin:gateway_apikey_change", args=[object_id]))
