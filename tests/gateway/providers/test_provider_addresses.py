"""No connection is made to where providers must not be, whatever the URL says by the time of the request."""

import pytest

from tests.gateway.conftest import HELLO, post
from tests.gateway.providers.server import Refusal

ASKED = {"model": "story", "messages": HELLO}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_that_is_not_allowed_is_not_connected_to(gateway, key, openai_server, offer, settings, host):
    offer(openai_server.url.replace("127.0.0.1", host))
    settings.PROVIDER_NETWORKS = []
    assert post(gateway, key, "/chat/completions", ASKED).status_code == 503
    assert openai_server.headers == []


def test_a_redirect_is_not_followed(gateway, key, openai_server, offer):
    openai_server.fault = lambda: Refusal(307, {}, Location=f"{openai_server.url}/chat/completions")
    offer(openai_server.url)
    assert post(gateway, key, "/chat/completions", ASKED).status_code == 502
    assert len(openai_server.headers) == 1
