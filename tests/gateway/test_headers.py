"""What an answer's headers tell: its id, where the time went, and who gave it."""

import pytest

from gateway.issuing import issue_key
from gateway.models import KeyScope
from tests.gateway.conftest import HELLO, add_replica, post
from tests.gateway.fake_replica import hang_up

CHAT = "/chat/completions"
GOOD = {"model": "fake-1", "messages": HELLO}


@pytest.fixture
def curious_key(gateway, user) -> str:
    """Good for receipts, too."""
    secret = issue_key(user, "lab", scopes=[KeyScope.INFERENCE, KeyScope.RECEIPTS])[1]
    gateway.refresh()
    return secret


def test_the_worker_hears_the_id_that_the_client_reads(gateway, key, fake):
    answer = post(gateway, key, CHAT, GOOD)
    assert fake.headers[0]["X-Request-ID"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_an_answer_tells_where_its_time_went(gateway, key, stream):
    told = post(gateway, key, CHAT, GOOD | {"stream": stream}).headers["server-timing"]
    durations_ms = {
        name: float(rest.removeprefix("dur=")) for name, rest in (part.split(";") for part in told.split(", "))
    }
    assert list(durations_ms) == ["auth", "queue", "route", "upstream", "total"]
    assert sum(durations_ms.values()) <= 2 * durations_ms["total"] + 0.1
    assert min(durations_ms.values()) >= 0


def test_a_receipt_names_replica_policy_and_tries(gateway, curious_key, fake, replica):
    receipt = post(gateway, curious_key, CHAT, GOOD).headers["x-flotilla-receipt"]
    assert receipt == f"worker=box%200; replica={replica.pk}; policy=least_load; tries=1"


def test_a_receipt_counts_the_replicas_that_failed(gateway, curious_key, fake):
    fake.behave = hang_up
    well = type(fake)()
    try:
        add_replica(well.url, num_running=1)
        gateway.refresh()
        assert post(gateway, curious_key, CHAT, GOOD).headers["x-flotilla-receipt"].endswith("tries=2")
    finally:
        well.close()


def test_a_key_that_may_not_see_receipts_gets_none(gateway, key):
    assert "x-flotilla-receipt" not in post(gateway, key, CHAT, GOOD).headers
