"""People's own pages of their account, and the theme. What allauth does is in its views; the language is Django's."""

from datetime import timedelta
from typing import Any

from allauth.account.views import LoginView, logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from accounts.factors import factors_of, is_factor_due
from accounts.forgotten import can_mail_links
from accounts.invitations import bring
from accounts.sign_up import may_sign_up
from accounts.terms import AcceptTermsForm, accept, terms_to_accept

THEMES = ("light", "dark")

sign_out = require_POST(logout)
"""Needs a form: a link in a message or a picture's address must not sign people out."""


class SignInView(LoginView):
    def get_context_data(self, **context: Any) -> dict[str, Any]:
        more = {"may_sign_up": may_sign_up(self.request), "can_mail_links": can_mail_links()}
        return super().get_context_data(**context, **more)


@require_GET
def invited(request: HttpRequest, text: str) -> HttpResponse:
    """Takes the invitation out of the address, where it would stay in the history, and goes on to the form."""
    if request.user.is_authenticated or not bring(request, text):
        return render(request, "account/signup_closed.html", status=404)
    return redirect("account_signup")


@require_GET
@login_required
def account(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated
    return render(
        request,
        "account/account.html",
        {"factors": factors_of(request.user), "is_factor_due": is_factor_due(request.user)},
    )


@login_required
def terms(request: HttpRequest) -> HttpResponse:
    """The terms in force, with the form for whoever has yet to accept them."""
    assert request.user.is_authenticated
    to_accept, next_url = terms_to_accept(request.user), request.POST.get("next") or request.GET.get("next") or "/"
    form = AcceptTermsForm(to_accept, request.POST or None)
    if to_accept and form.is_valid():
        accept(request, request.user, to_accept)
        return HttpResponseRedirect(_ours(request, next_url))
    shown = to_accept or request.user.accepted_terms
    if shown is None:
        return HttpResponseRedirect("/")
    context = {"terms": shown, "to_accept": to_accept, "next": next_url, "form": form}
    return render(request, "account/terms.html", context)


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Keeps the choice in a cookie and goes back; anything but light and dark means "as the system"."""
    response = HttpResponseRedirect(_ours(request, request.POST.get("next", "/")))
    if (theme := request.POST.get("theme")) in THEMES:
        response.set_cookie("theme", theme, max_age=timedelta(days=365), samesite="Lax")
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response


def _ours(request: HttpRequest, url: str) -> str:
    """The address, if it is of this site; else the first page."""
    is_ours = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if is_ours else "/"
