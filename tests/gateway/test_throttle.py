"""What may be sent to a provider in a minute."""

import time
from dataclasses import replace

from fleet.provider_access import HostedModel, ProviderAccess
from fleet.provider_presets import Dialect
from gateway.throttle import Throttle
from tests.gateway.replicas import make_replica

ACCESS = ProviderAccess(
    provider_id=1, name="cloud", dialect=Dialect.OPENAI, base_url="https://x/v1", query="", headers={}, credential="",
    ca_certificate="", can_ask_for_usage=True, max_requests_per_minute=2, max_tokens_per_minute=100,
)  # fmt: skip


def hosted(name: str = "r", **fields):
    return make_replica(name, hosted=HostedModel(access=replace(ACCESS, **fields), name="m", max_output_tokens=1))


def test_requests_are_counted_over_all_models_of_the_provider_for_a_minute():
    throttle = Throttle()
    throttle.sent(hosted("a"))
    throttle.sent(hosted("b"))
    now_s = time.monotonic()
    assert not throttle.allows(hosted("a"), now_s)
    assert throttle.allows(hosted("a"), now_s + 60)


def test_tokens_are_counted_when_an_answer_has_ended():
    throttle = Throttle()
    throttle.used(hosted(), 99)
    assert throttle.allows(hosted(), time.monotonic())
    throttle.used(hosted(), 1)
    assert not throttle.allows(hosted(), time.monotonic())
    assert throttle.allows(hosted(), time.monotonic() + 60)


def test_providers_do_not_share_a_limit():
    throttle = Throttle()
    for _ in range(2):
        throttle.sent(hosted())
    assert throttle.allows(hosted(provider_id=2), time.monotonic())


def test_without_a_limit_nothing_is_counted_and_all_is_allowed():
    throttle, free = Throttle(), {"max_requests_per_minute": None, "max_tokens_per_minute": None}
    for replica in (hosted(**free), make_replica("worker's")):
        throttle.sent(replica)
        throttle.used(replica, 10**9)
        assert throttle.allows(replica, time.monotonic())
    assert throttle == Throttle()
