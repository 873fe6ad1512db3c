"""Where a provider's URL may lead: a rule, judged by IP address."""

import pytest

from fleet.errors import AddressRefused
from fleet.provider_addresses import check_ip, check_url


@pytest.fixture(autouse=True)
def networks(settings):
    settings.PROVIDER_NETWORKS = ["127.0.0.0/8", "10.1.0.0/16", "169.254.0.0/16", "100.64.0.0/10"]


@pytest.mark.parametrize("ip", ["8.8.8.8", "2606:4700::1111"])
def test_the_public_network_is_reached_by_tls_alone(ip):
    check_ip(ip, is_encrypted=True)
    with pytest.raises(AddressRefused, match="https"):
        check_ip(ip, is_encrypted=False)


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3"])
def test_the_networks_that_the_administrator_named_are_reached_either_way(ip):
    check_ip(ip, is_encrypted=False)
    check_ip(ip, is_encrypted=True)


@pytest.mark.parametrize("ip", ["10.2.0.1", "192.168.1.1", "::1", "fd12::1", "64:ff9b::a02:1", "2002:a02:1::1"])
def test_other_private_addresses_are_refused_and_the_setting_is_named(ip):
    with pytest.raises(AddressRefused, match="PROVIDER_NETWORKS"):
        check_ip(ip, is_encrypted=True)


@pytest.mark.parametrize(
    "ip",
    [
        "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1%eth0", "100.100.100.200",
        "168.63.129.16", "fd00:ec2::254", "0.0.0.0", "224.0.0.1",
    ],
)  # fmt: skip
def test_metadata_services_are_never_reached_whatever_the_settings_say(ip):
    with pytest.raises(AddressRefused, match="metadata"):
        check_ip(ip, is_encrypted=True)


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1/v1", "127.0.0.1/v1", "http://key@127.0.0.1/v1", "http://127.0.0.1/v1?key=1", "http://[::1", ""],
)
def test_a_url_that_is_no_base_url_is_refused(url):
    with pytest.raises(AddressRefused):
        check_url(url)


def test_a_name_is_judged_by_what_it_leads_to(settings):
    check_url("http://localhost:8000/v1")
    settings.PROVIDER_NETWORKS = []
    with pytest.raises(AddressRefused, match="private"):
        check_url("https://localhost:8000/v1")
