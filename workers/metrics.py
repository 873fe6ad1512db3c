"""GET /metrics of the daemon: what its engines do, named as vLLM names it where vLLM has a name for it."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from protocol.control import ReplicaPhase, ReplicaStatus

_LABELS = ["model_name", "replica"]


class _EngineCollector(Collector):
    """`engines`: the model's name and the state of each replica here."""

    def __init__(self, engines: Iterable[tuple[str, ReplicaStatus]]) -> None:
        self._engines = list(engines)

    def collect(self) -> Iterator[Metric]:
        running = GaugeMetricFamily("vllm:num_requests_running", "Requests that the engine works on.", labels=_LABELS)
        waiting = GaugeMetricFamily("vllm:num_requests_waiting", "Requests that wait for the engine.", labels=_LABELS)
        ready = GaugeMetricFamily("flotilla_replica_ready", "1 while the replica answers requests.", labels=_LABELS)
        memory = GaugeMetricFamily("flotilla_replica_memory_bytes", "Memory of the engine's process.", labels=_LABELS)
        restarts = CounterMetricFamily(
            "flotilla_replica_restarts", "Times the engine was started again.", labels=_LABELS
        )
        for model, status in self._engines:
            place = [model, status.replica_id]
            running.add_metric(place, status.num_running)
            waiting.add_metric(place, status.num_waiting)
            ready.add_metric(place, status.phase is ReplicaPhase.READY)
            memory.add_metric(place, status.memory_bytes)
            restarts.add_metric(place, status.num_restarts)
        yield from (running, waiting, ready, memory, restarts)


def exposition(engines: Iterable[tuple[str, ReplicaStatus]], accept: str) -> tuple[bytes, str]:
    """The page and its content type, as the Accept header wants it."""
    registry = CollectorRegistry()
    registry.register(_EngineCollector(engines))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
