"""How many wrong passwords are heard out.

They are counted by address and name together, so that nobody is locked out by what others do elsewhere. Where many
share an address (an office, a proxy), the browser in which a name has signed in before has a count of its own: whoever
keeps failing beside it cannot keep the administrator out.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

_COOKIE, _SALT, _KEPT_FOR = "known_browser", "accounts.lockout", timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Count:
    """What an attempt is counted under, and allauth's notation of how many there may be: 5/300s/key."""

    key: str
    rates: str


def count_for(request: HttpRequest, address: str, name: str) -> Count:
    by_name = f"{settings.SIGN_IN_ATTEMPTS}/{settings.SIGN_IN_LOCKED.total_seconds():.0f}s/key"
    if browser := _known_browser(request, name):
        return Count(f"browser:{browser}", by_name)
    return Count(f"address:{address}:{name.casefold()}", f"{settings.SIGN_IN_ATTEMPTS_PER_ADDRESS}/m/ip,{by_name}")


def remember_browser(response: HttpResponse, name: str) -> None:
    """This browser has shown that it knows the password of this name."""
    response.set_cookie(
        _COOKIE,
        signing.dumps([secrets.token_urlsafe(12), name.casefold()], salt=_SALT),
        max_age=_KEPT_FOR,
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )


def _known_browser(request: HttpRequest, name: str) -> str | None:
    try:
        browser, known_name = signing.loads(request.COOKIES.get(_COOKIE, ""), salt=_SALT, max_age=_KEPT_FOR)
    except signing.BadSignature:
        return None
    return browser if known_name == name.casefold() else None
