"""Addresses that people edit by hand and crawlers make up: refused or not found, never a failure of ours."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

ODD = ("nope", "0", "9" * 40, "-1", "%00", "00000000-0000-0000-0000-000000000000", "..%2f..", "é")
PLACE = re.compile(r"<(?:\w+:)?\w+>|\(\?P<\w+>[^()]*(?:\([^()]*\)[^()]*)*\)")


def routes(resolver: URLResolver, before: str = "/") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = before + str(pattern.pattern).lstrip("^").rstrip("$").removesuffix("\\Z")
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from routes(pattern, route)


def addresses() -> Iterator[str]:
    for route in sorted(set(routes(get_resolver()))):
        if PLACE.search(route):
            yield from (PLACE.sub(lambda _, odd=odd: odd, route) for odd in ODD)


@pytest.fixture
def anybody(admin_client: Client) -> Client:
    admin_client.raise_request_exception = False
    return admin_client


def test_no_address_that_names_nothing_makes_a_page_fail(anybody: Client):
    answers = {address: anybody.get(address).status_code for address in addresses()}
    assert len(answers) > 500
    assert {address: status for address, status in answers.items() if status >= 500} == {}


def test_nor_does_an_act_on_it(anybody: Client):
    answers = {address: anybody.post(address).status_code for address in addresses()}
    assert {address: status for address, status in answers.items() if status >= 500} == {}
