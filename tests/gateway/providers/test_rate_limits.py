"""A provider is not sent more than the administrator allows: what is too much goes elsewhere."""

import pytest

from fleet.models import Provider
from gateway import runtime
from gateway.balancer import LeftOut, Wanted
from tests.gateway.conftest import HELLO, add_replica, post

ASKED = {"model": "story", "messages": HELLO}


@pytest.fixture
def server(openai_server, offer):
    offer(openai_server.url)
    return openai_server


def limit(gateway, **fields) -> None:
    Provider.objects.update(**fields)
    gateway.refresh()


def test_what_is_too_much_goes_to_another_replica(gateway, key, server, fake):
    add_replica(fake.url, model="story")
    limit(gateway, max_requests_per_minute=1)
    answers = [post(gateway, key, "/chat/completions", ASKED).status_code for _ in range(12)]
    assert answers == [200] * 12
    assert len(server.bodies) <= 1


@pytest.mark.parametrize("limits", [{"max_requests_per_minute": 1}, {"max_tokens_per_minute": 5}])
def test_where_nobody_else_is_the_caller_is_told_when_to_come_back(gateway, key, server, limits):
    limit(gateway, **limits)
    first, second = (post(gateway, key, "/chat/completions", ASKED) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 503)
    assert int(second.headers["Retry-After"]) > 0
    assert len(server.bodies) == 1


def test_the_administrator_can_see_why_it_is_not_asked(gateway, key, server):
    limit(gateway, max_requests_per_minute=1)
    post(gateway, key, "/chat/completions", ASKED)
    balancer, latest = runtime.current().balancer, runtime.current().poller.latest
    (replica,) = latest.pools["story"].replicas
    assert balancer.why_not(replica, Wanted(capability="chat")) == LeftOut.AT_ITS_LIMIT
