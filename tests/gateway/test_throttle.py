"""What may be sent to a provider in a minute."""

import time

from gateway.throttle import Throttle
from tests.gateway.replicas import make_hosted, make_replica


def test_requests_are_counted_over_all_models_of_the_provider_for_a_minute():
    throttle = Throttle()
    throttle.sent(make_hosted("a"))
    throttle.sent(make_hosted("b"))
    now_s = time.monotonic()
    assert not throttle.allows(make_hosted("a"), now_s)
    assert throttle.allows(make_hosted("a"), now_s + 60)


def test_tokens_are_counted_when_an_answer_has_ended():
    throttle = Throttle()
    throttle.used(make_hosted(), 99)
    assert throttle.allows(make_hosted(), time.monotonic())
    throttle.used(make_hosted(), 1)
    assert not throttle.allows(make_hosted(), time.monotonic())
    assert throttle.allows(make_hosted(), time.monotonic() + 60)


def test_providers_do_not_share_a_limit():
    throttle = Throttle()
    for _ in range(2):
        throttle.sent(make_hosted())
    assert throttle.allows(make_hosted(provider_id=2), time.monotonic())


def test_without_a_limit_nothing_is_counted_and_all_is_allowed():
    throttle, free = Throttle(), {"max_requests_per_minute": None, "max_tokens_per_minute": None}
    for replica in (make_hosted(**free), make_replica("worker's")):
        throttle.sent(replica)
        throttle.used(replica, 10**9)
        assert throttle.allows(replica, time.monotonic())
    assert throttle == Throttle()
