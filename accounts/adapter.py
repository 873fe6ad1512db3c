"""What is ours in signing in: allauth asks this class wherever an installation may have its own mind."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.errors import InvitationGone
from accounts.lockout import count_for, remember_browser
from accounts.models import User
from accounts.sign_up import may_sign_up, welcome
from audit.models import Door
from audit.recording import actor_of, record, record_braked

NOTED = {
    "account/email/password_changed": "changed the password",
    "account/email/password_set": "set a password",
    "account/email/password_reset": "chose a new password by mail",
    "socialaccount/email/account_connected": "connected an account elsewhere",
    "socialaccount/email/account_disconnected": "disconnected an account elsewhere",
    "mfa/email/totp_activated": "added a code app",
    "mfa/email/totp_deactivated": "removed the code app",
    "mfa/email/webauthn_added": "added a passkey",
    "mfa/email/webauthn_removed": "removed a passkey",
    "mfa/email/recovery_codes_generated": "made new recovery codes",
}
"""What allauth would write to people about, and what the audit log says of it."""


class AccountAdapter(DefaultAccountAdapter):
    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": _("The username or the password is wrong."),
        "too_many_login_attempts": _("Too many wrong attempts. Wait some minutes, then try again."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return may_sign_up(request)

    def save_user(self, request: HttpRequest, user: Any, form: Any, commit: bool = True) -> Any:
        try:
            with transaction.atomic():
                saved = super().save_user(request, user, form, commit)
                welcome(request, saved)
        except InvitationGone as gone:
            raise ImmediateHttpResponse(render(request, "account/signup_closed.html", status=409)) from gone
        return saved

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        count = count_for(request, self.get_client_ip(request), credentials.get("username", ""))
        # Taken back by allauth when the password was right; attempts at the same time are counted one by one.
        self._login_failed_rl_usage = ratelimit.consume(
            request, app="allauth.account", action="login_failed", key=count.key, config={"login_failed": count.rates}
        )
        if not self._login_failed_rl_usage:
            raise self.validation_error("too_many_login_attempts")

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        # Only a name that is one: people write their password into the wrong field.
        user = User.objects.filter(username__iexact=credentials.get("username", "")[:150]).first()
        record_braked(actor_of(request, Door.SIGN_IN), "sign-in failed", user)

    def login(self, request: HttpRequest, user: Any) -> None:
        super().login(request, user)
        record(actor_of(request, Door.SIGN_IN), "signed in", user)

    def post_login(self, request: HttpRequest, user: Any, **how: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **how)
        remember_browser(response, user.get_username())
        return response

    def logout(self, request: HttpRequest) -> None:
        user: Any = request.user
        record(actor_of(request, Door.SIGN_IN), "signed out", user)
        super().logout(request)

    def send_notification_mail(self, template_prefix: str, user: Any, *args: Any, **kwargs: Any) -> None:
        if act := NOTED.get(template_prefix):
            record(actor_of(self.request, Door.PAGE), act, user)
        super().send_notification_mail(template_prefix, user, *args, **kwargs)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("account")
