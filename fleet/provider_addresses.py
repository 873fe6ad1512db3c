"""Rule: which addresses a provider's URL may lead to. Judged when a connection is made, by the address it goes to.

Anywhere in the public network by TLS; elsewhere, and without TLS, only into settings.PROVIDER_NETWORKS; to the clouds'
metadata services never. Else whoever may write a URL could read what only this server can reach.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from fleet.addresses import IPAddress, is_never_allowed, unmapped
from fleet.errors import AddressRefused

_METADATA = frozenset(map(ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
"""Of Azure, Alibaba, Oracle and AWS; the others' are link-local."""
_NAT64 = ip_network("64:ff9b::/96")


def check_url(url: str) -> None:
    """Raises AddressRefused for a URL that no connection would be made to, now that its name is resolved."""
    parts = _checked_parts(url)
    for answer in _resolved(str(parts.hostname)):
        check_ip(answer, is_encrypted=parts.scheme == "https")


def check_ip(text: str, *, is_encrypted: bool) -> None:
    """Raises AddressRefused unless a connection may go to that IP address."""
    ip = _meant(ip_address(text.partition("%")[0]))
    if is_never_allowed(ip) or ip in _METADATA:
        raise _refused(_("%(ip)s is link-local, reserved or a cloud's metadata service: no provider lives there."), ip)
    if any(ip in ip_network(network) for network in settings.PROVIDER_NETWORKS):
        return
    if not ip.is_global:
        raise AddressRefused(
            f"{ip} is a private address. Add its network to PROVIDER_NETWORKS, if a provider is there."
        )
    if not is_encrypted:
        raise _refused(_("%(ip)s would be reached without encryption: use https."), ip)


def guarded_socket(address: tuple[object, ...], *, is_encrypted: bool) -> socket.socket:
    """A socket for that entry of `getaddrinfo`. Raises OSError where no connection may go there."""
    family, kind, protocol, _name, target = address
    try:
        check_ip(target[0], is_encrypted=is_encrypted)  # type: ignore[index]
    except AddressRefused as error:
        raise PermissionError(str(error)) from error
    return socket.socket(family, kind, protocol)  # type: ignore[arg-type]


def _refused(text: str, ip: IPAddress) -> AddressRefused:
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


def _meant(ip: IPAddress) -> IPAddress:
    """The IPv4 address within an IPv6 one, where it holds one: that is where packets end up."""
    ip = unmapped(ip)
    if isinstance(ip, IPv6Address):
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)
    return ip
