"""What a visitor may choose without an account: the theme. The language is Django's own view."""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

THEMES = ("light", "dark")


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Keeps the choice in a cookie and goes back; anything but light and dark means "as the system"."""
    next_url = request.POST.get("next", "/")
    is_ours = url_has_allowed_host_and_scheme(next_url, {request.get_host()}, require_https=request.is_secure())
    response = HttpResponseRedirect(next_url if is_ours else "/")
    if (theme := request.POST.get("theme")) in THEMES:
        response.set_cookie("theme", theme, max_age=timedelta(days=365), samesite="Lax")
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response
