"""Rule: what lies behind an IP address that somebody else chose, for connections that this server makes for them.

Else whoever may write a URL could read what only this server can reach.
"""

from collections.abc import Iterable
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from fleet.addresses import IPAddress, is_never_allowed, unmapped

_METADATA = frozenset(map(ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
"""Of Azure, Alibaba, Oracle and AWS; the others' are link-local."""
_NAT64 = ip_network("64:ff9b::/96")


class Place(Enum):
    """The first that is true of an address."""

    FORBIDDEN = auto()
    """Link-local, reserved or a cloud's metadata service: whatever the settings say."""
    NAMED = auto()
    """In a network that the administrator named."""
    PRIVATE = auto()
    PUBLIC = auto()


def place_of(text: str, networks: Iterable[str]) -> Place:
    ip = _meant(ip_address(text.partition("%")[0]))
    if is_never_allowed(ip) or ip in _METADATA:
        return Place.FORBIDDEN
    if any(ip in ip_network(network) for network in networks):
        return Place.NAMED
    return Place.PUBLIC if ip.is_global else Place.PRIVATE


def _meant(ip: IPAddress) -> IPAddress:
    """The IPv4 address within an IPv6 one, where it holds one: that is where packets end up."""
    ip = unmapped(ip)
    if isinstance(ip, IPv6Address):
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)
    return ip
