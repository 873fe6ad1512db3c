"""GET /metrics: this web process and the fleet behind it, in Prometheus' words."""

from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_GET
from prometheus_client import PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from fleet.metrics import FleetCollector
from gateway.metrics import REGISTRY
from gateway.runtime import current

_OFF = "Metrics are off. Set METRICS_TOKEN to a long random text, and let Prometheus send it as its bearer token.\n"
_REFUSED = "The metrics are for who sends METRICS_TOKEN in an Authorization header: Bearer <token>.\n"


class RuntimeCollector(Collector):
    """What runs in this process now."""

    def collect(self) -> Iterator[Metric]:
        balancer, admission = current().balancer, current().admission
        flying = GaugeMetricFamily(
            "flotilla_requests_in_flight", "Requests of this process that replicas work on.", labels=["model"]
        )
        for model, num in list(balancer.in_flight_by_model.items()):
            flying.add_metric([model], num)
        waiting = GaugeMetricFamily(
            "flotilla_requests_waiting", "Requests that wait in this process for a place.", labels=["model"]
        )
        for model, num in admission.num_waiting_by_model.items():
            waiting.add_metric([model], num)
        told = CounterMetricFamily("flotilla_standings_told", "How often somebody who waits was told how they stand.")
        told.add_metric([], admission.num_told)
        left_out = GaugeMetricFamily("flotilla_replicas_left_out", "Replicas that this process has found failing.")
        left_out.add_metric([], balancer.breaker.num_open)
        yield from (flying, waiting, told, left_out)

    def describe(self) -> list[Metric]:
        """Nothing: no gateway may run yet."""
        return []


for collector in (
    RuntimeCollector(),
    FleetCollector(),
    ProcessCollector(registry=None),
    PlatformCollector(registry=None),
):
    REGISTRY.register(collector)


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """Sync, and in a thread: it asks the database."""
    if not settings.METRICS_TOKEN:
        return HttpResponse(_OFF, "text/plain", 404)
    if not constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {settings.METRICS_TOKEN}"):
        return HttpResponse(_REFUSED, "text/plain", 401, headers={"WWW-Authenticate": "Bearer"})
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(REGISTRY), content_type)
