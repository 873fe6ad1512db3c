"""A forgotten password: a link by mail, where that can be trusted to lead here."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account import views as allauth
from allauth.account.forms import ResetPasswordForm
from allauth.account.utils import filter_users_by_email
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseBase

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponseBase]


def can_mail_links() -> bool:
    """The link is made of the address that the visitor's request names: where any will do, an attacker could have it
    lead to a host of theirs."""
    return bool(settings.EMAIL_URL) and "*" not in settings.ALLOWED_HOSTS


class ForgottenForm(ResetPasswordForm):
    """Says the same whether or not anybody has that address."""

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        people: list[Any] = filter_users_by_email(email.lower(), is_active=True, prefer_verified=True)
        # Who signs in elsewhere must not get a second way in by a mailbox.
        self.users = [user for user in people if user.has_usable_password() and not user.is_service]
        return email

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        email: str = self.cleaned_data["email"]
        if self.users:
            try:
                super().save(request, **kwargs)
            except OSError:
                logger.exception("A link for a forgotten password could not be mailed")
        return email


def _by_mail(view: View) -> View:
    """There only where mail is."""

    @wraps(view)
    def found(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not can_mail_links():
            raise Http404
        return view(request, *args, **kwargs)

    return found


ask, asked = _by_mail(allauth.password_reset), _by_mail(allauth.password_reset_done)
choose, chosen = _by_mail(allauth.password_reset_from_key), _by_mail(allauth.password_reset_from_key_done)
