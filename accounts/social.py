"""Signing in by the organisation's own provider, over OpenID Connect."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.core.exceptions import SignupClosedException
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.providers.openid_connect.views import callback, login
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from requests import RequestException

from accounts.errors import InvitationGone
from accounts.sign_up import may_sign_up, welcome

logger = logging.getLogger(__name__)


class ProviderAdapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return settings.OIDC_CREATES_ACCOUNTS or may_sign_up(request)

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> Any:
        try:
            with transaction.atomic():
                user = super().save_user(request, sociallogin, form)
                # By the form it went through the account's adapter, which has said welcome.
                if form is None:
                    welcome(request, user)
        except InvitationGone as gone:
            raise SignupClosedException from gone
        return user


def _as_far_as_it_answers(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """allauth asks the provider where its pages are before it looks for errors."""

    @wraps(view)
    def answer(request: HttpRequest, provider_id: str) -> HttpResponse:
        try:
            return view(request, provider_id)
        except RequestException:
            logger.exception("The OpenID Connect provider does not answer.")
            return render(request, "socialaccount/authentication_error.html", status=502)

    return answer


start_elsewhere = _as_far_as_it_answers(login)
come_back = _as_far_as_it_answers(callback)
