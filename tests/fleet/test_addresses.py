"""Where a worker may say that it lives."""

import socket

import pytest

from fleet.addresses import pin, pinned_url
from fleet.errors import AddressRefused

PRIVATE = ["127.0.0.0/8", "10.0.0.0/8", "fc00::/7"]
EVERYWHERE = ["0.0.0.0/0", "::/0"]


@pytest.fixture
def resolves_to(monkeypatch: pytest.MonkeyPatch):
    """Stands in for the network's name server."""

    def answer(*ips: str) -> None:
        found = [(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 0)) for ip in ips]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)

    return answer


def test_an_address_inside_the_networks_is_pinned():
    assert pin("http://10.0.0.7:8100/", PRIVATE).url == "http://10.0.0.7:8100"


@pytest.mark.parametrize(
    "address",
    [
        "ftp://10.0.0.7",
        "10.0.0.7:8100",
        "http://",
        "http://user:password@10.0.0.7:8100",
        "http://10.0.0.7:8100/v1",
        "http://10.0.0.7:8100?x=1",
        "http://10.0.0.7:8100#x",
        "http://10.0.0.7:99999",
        "http://[::1",
        "http://10.0.0.7\\@evil.example",
    ],
)
def test_an_address_that_is_more_or_less_than_scheme_host_and_port_is_refused(address):
    with pytest.raises(AddressRefused):
        pin(address, EVERYWHERE)


@pytest.mark.parametrize("address", ["http://8.8.8.8", "http://[2001:db8::1]:8100", "http://192.168.1.1"])
def test_an_address_outside_the_networks_is_refused(address):
    with pytest.raises(AddressRefused, match="WORKER_NETWORKS"):
        pin(address, PRIVATE)


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254",
        "http://[::ffff:169.254.169.254]",
        "http://[fe80::1]",
        "http://0.0.0.0:8100",
        "http://[::]",
        "http://224.0.0.1",
        "http://255.255.255.255",
    ],
)
def test_some_addresses_are_refused_whatever_the_settings_say(address):
    with pytest.raises(AddressRefused):
        pin(address, EVERYWHERE)


def test_an_ipv4_address_written_as_ipv6_is_judged_as_what_it_is():
    assert pin("http://[::ffff:10.0.0.7]:8100", PRIVATE).ip == "10.0.0.7"


def test_a_name_is_pinned_to_the_first_address_it_resolves_to(resolves_to):
    resolves_to("10.0.0.7", "10.0.0.8")
    assert pin("http://gpu-1.lan:8100", PRIVATE).ip == "10.0.0.7"


def test_a_name_that_also_leads_outside_is_refused(resolves_to):
    resolves_to("10.0.0.7", "93.184.216.34")
    with pytest.raises(AddressRefused, match=r"93\.184\.216\.34"):
        pin("http://gpu-1.lan:8100", PRIVATE)


def test_a_name_that_does_not_resolve_is_refused(monkeypatch):
    def fail(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(AddressRefused, match="cannot resolve"):
        pin("http://nowhere.invalid", PRIVATE)


@pytest.mark.parametrize(
    ("url", "ip", "expected"),
    [
        ("http://gpu-1.lan:8100", "10.0.0.7", "http://10.0.0.7:8100"),
        ("https://gpu-1.lan", "10.0.0.7", "https://10.0.0.7:443"),
        ("http://gpu-1.lan", "fc00::7", "http://[fc00::7]:80"),
    ],
)
def test_the_gateway_connects_to_the_pinned_address(url, ip, expected):
    assert pinned_url(url, ip) == expected
