"""A provider is not sent more than the administrator allows: what is too much goes elsewhere, or waits."""

import pytest

from fleet.models import LanguageModel, Provider
from gateway import runtime
from gateway.balancer import LeftOut, Wanted
from tests.gateway.conftest import HELLO, add_replica, post, wait_until
from tests.gateway.crowd import Crowd

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


@pytest.mark.parametrize("field", ["max_requests_per_minute", "max_tokens_per_minute"])
def test_where_nobody_else_is_it_waits_until_the_limit_allows_it(gateway, key, server, field):
    limit(gateway, **{field: 1})
    post(gateway, key, "/chat/completions", ASKED)
    with Crowd(gateway) as crowd:
        asked = crowd.ask(key, model="story")
        wait_until(lambda: runtime.current().admission.num_waiting == 1)
        assert len(server.bodies) == 1
        limit(gateway, **{field: 1000})
        assert asked.heard().status == 200


def test_who_has_waited_in_vain_for_it_is_told_when_to_come_back(gateway, key, server):
    LanguageModel.objects.update(max_queue_wait_s=1)
    limit(gateway, max_requests_per_minute=1)
    post(gateway, key, "/chat/completions", ASKED)
    refused = post(gateway, key, "/chat/completions", ASKED)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_timeout")
    assert int(refused.headers["Retry-After"]) > 0


def test_the_administrator_can_see_why_it_is_not_asked(gateway, key, server):
    limit(gateway, max_requests_per_minute=1)
    post(gateway, key, "/chat/completions", ASKED)
    balancer, latest = runtime.current().balancer, runtime.current().poller.latest
    (replica,) = latest.pools["story"].replicas
    assert balancer.why_not(replica, Wanted(capability="chat")) == LeftOut.AT_ITS_LIMIT
