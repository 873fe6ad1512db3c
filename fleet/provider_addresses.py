"""Rule: which addresses a provider's URL may lead to. Judged when a connection is made, by the address it goes to.

Anywhere in the public network by TLS; elsewhere, and without TLS, only into settings.PROVIDER_NETWORKS; to the clouds'
metadata services never. Else whoever may write a URL could read what only this server can reach.
"""

import socket
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from fleet.errors import AddressRefused
from fleet.outbound import Place, place_of


def check_url(url: str) -> None:
    """Raises AddressRefused for a URL that no connection would be made to, now that its name is resolved."""
    parts = _checked_parts(url)
    for answer in _resolved(str(parts.hostname)):
        check_ip(answer, is_encrypted=parts.scheme == "https")


def check_ip(ip: str, *, is_encrypted: bool) -> None:
    """Raises AddressRefused unless a connection may go to that IP address."""
    place = place_of(ip, settings.PROVIDER_NETWORKS)
    if place is Place.FORBIDDEN:
        raise _refused(_("%(ip)s is link-local, reserved or a cloud's metadata service: no provider lives there."), ip)
    if place is Place.PRIVATE:
        raise AddressRefused(
            f"{ip} is a private address. Add its network to PROVIDER_NETWORKS, if a provider is there."
        )
    if place is Place.PUBLIC and not is_encrypted:
        raise _refused(_("%(ip)s would be reached without encryption: use https."), ip)


def _refused(text: str, ip: str) -> AddressRefused:
    return AddressRefused(text % {"ip": ip})


def _checked_parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise AddressRefused(_("The URL cannot be read: %(error)s.") % {"error": error}) from error
    if not is_complete:
        raise AddressRefused(_("This is not an http or https URL with a host."))
    if "@" in parts.netloc or parts.query or parts.fragment or "\\" in url:
        raise AddressRefused(_("A base URL has scheme, host, port and path only; the key has a field of its own."))
    return parts


def _resolved(host: str) -> list[str]:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(_("%(host)s cannot be resolved: %(error)s.") % {"host": host, "error": error}) from error
    return [str(answer[4][0]) for answer in answers]
