"""Rule: which advertised addresses the gateway may connect to. A name is resolved once and the answer pinned.

Without it anybody with a join token could point the gateway, which sits inside the network, at any service there.
"""

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from fleet.errors import AddressRefused, NetworksMalformed

IPAddress = IPv4Address | IPv6Address

_EXAMPLE = "Advertise something like http://10.0.0.7:8100 (--advertise)."


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedAddress:
    """Where a worker is: the address as advertised, without a trailing slash, and the one IP address it may mean."""

    url: str
    ip: str


def pin(address: str, networks: Iterable[str]) -> PinnedAddress:
    """The address, resolved. Raises AddressRefused unless every IP address it resolves to lies in these networks."""
    parts = _checked_parts(address)
    allowed = [ip_network(network) for network in networks]
    ips = _resolve(str(parts.hostname))
    for ip in ips:
        if is_never_allowed(ip) or not any(ip in network for network in allowed):
            raise AddressRefused(
                f"The address {address} leads to {ip}, which is outside the networks where workers may live. "
                "Advertise another address, or let the administrator add the network to WORKER_NETWORKS."
            )
    return PinnedAddress(url=f"{parts.scheme}://{parts.netloc}", ip=str(ips[0]))


def pin_for(peer: str, address: str, networks: Iterable[str]) -> PinnedAddress:
    """The same for an address that `peer`, an IP address, advertises. Loopback is for those who call from here: for
    anybody else the gateway would call whatever listens on the server. Raises AddressRefused."""
    pinned = pin(address, networks)
    if ip_address(pinned.ip).is_loopback and not _is_here(peer):
        raise AddressRefused(
            f"The address {address} leads to the server itself, but the worker calls from {peer}. "
            "Advertise the address of the worker's own machine (--advertise, or --listen 0.0.0.0:8100)."
        )
    return pinned


def is_within(ip: str, networks: Iterable[str]) -> bool:
    """Whether this IP address lies in one of these networks. What is no address lies nowhere."""
    try:
        found = unmapped(ip_address(ip.partition("%")[0]))
    except ValueError:
        return False
    return any(found in ip_network(network) for network in networks)


def parse_networks(text: str) -> list[str]:
    """`10.0.0.0/8, 192.168.1.7` as networks; commas, spaces and line ends separate. Raises NetworksMalformed."""
    networks = []
    for part in re.split(r"[,\s]+", text.strip()):
        try:
            networks += [str(ip_network(part))] if part else []
        except ValueError as error:
            raise NetworksMalformed(part) from error
    return networks


def pinned_url(url: str, ip: str) -> str:
    """The same address with the IP address in the name's place, and the port always written."""
    parts = urlsplit(url)
    host = f"[{ip}]" if ":" in ip else ip
    return f"{parts.scheme}://{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _is_here(peer: str) -> bool:
    """Whether this IP address is one of this machine's own: only to those can a socket be bound."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in peer else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((peer, 0))
    except OSError:
        return False
    return not ip_address(peer).is_unspecified


def _checked_parts(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise AddressRefused(f"The address {address!r} cannot be read: {error}. {_EXAMPLE}") from error
    if not is_complete:
        raise AddressRefused(f"The address {address!r} is not an http or https address with a host. {_EXAMPLE}")
    if "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment or "\\" in address:
        raise AddressRefused(f"The address {address!r} has more than scheme, host and port. {_EXAMPLE}")
    return parts


def _resolve(host: str) -> list[IPAddress]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(
            f"The server cannot resolve {host!r}: {error}. Advertise an IP address instead."
        ) from error
    return [unmapped(ip_address(str(answer[4][0]).partition("%")[0])) for answer in found]


def unmapped(ip: IPAddress) -> IPAddress:
    # ::ffff:169.254.169.254 reaches the same machine as 169.254.169.254: judge it as that.
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def is_never_allowed(ip: IPAddress) -> bool:
    """Whatever the settings say. Link-local holds the clouds' metadata services."""
    # ::1 counts as reserved for Python.
    return ip.is_unspecified or ip.is_multicast or ip.is_link_local or (ip.is_reserved and not ip.is_loopback)
