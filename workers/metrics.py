"""GET /metrics of the daemon: what its engines do, named as vLLM names it where vLLM has a name for it."""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from protocol.control import ANSWERING, ReplicaPhase
from workers.engine_process import EngineProcess
from workers.engines.figures import Histogram, Totals

_LABELS = ["model_name", "replica"]


class _EngineCollector(Collector):
    def __init__(self, engines: Iterable[EngineProcess]) -> None:
        self._engines = [([engine.replica.model, engine.replica.replica_id], engine) for engine in engines]

    def collect(self) -> Iterator[Metric]:
        yield from self._states()
        yield from self._shortages()
        totals = [(place, engine.stats.totals) for place, engine in self._engines if engine.stats.totals]
        yield from _counters(totals)
        yield from _durations(totals)
        usage = [(place, engine.stats.cache_usage) for place, engine in self._engines]
        told = [(place, share) for place, share in usage if share is not None]
        # The second name is the one that vLLM used before, and many dashboards still do.
        for name in ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"):
            yield _gauge(name, "Share of the room for keys and values that is in use; 1: all.", told)

    def _states(self) -> Iterator[Metric]:
        statuses = [(place, engine.status()) for place, engine in self._engines]
        running = [(place, status.num_running) for place, status in statuses]
        yield _gauge("vllm:num_requests_running", "Requests that the engine works on.", running)
        waiting = [(place, status.num_waiting) for place, status in statuses]
        yield _gauge("vllm:num_requests_waiting", "Requests that wait for the engine.", waiting)
        ready = [(place, status.phase in ANSWERING) for place, status in statuses]
        yield _gauge("flotilla_replica_ready", "1 while the replica answers requests, also if it must wake.", ready)
        asleep = [(place, status.phase is ReplicaPhase.ASLEEP) for place, status in statuses]
        yield _gauge("flotilla_replica_asleep", "1 while it is unloaded for want of requests.", asleep)
        memory = [(place, status.memory_bytes) for place, status in statuses]
        yield _gauge("flotilla_replica_memory_bytes", "Memory of the engine's process.", memory)
        restarts = [(place, status.num_restarts) for place, status in statuses]
        yield _counter("flotilla_replica_restarts", "Times the engine was started again.", restarts)

    def _shortages(self) -> Iterator[Metric]:
        shortages = [(place, engine.stats.num_out_of_memory) for place, engine in self._engines]
        yield _counter("flotilla_replica_out_of_memory", "Steps that did not fit into memory.", shortages)
        bounds = [(place, engine.stats.max_step_tokens) for place, engine in self._engines]
        told = [(place, bound) for place, bound in bounds if bound is not None]
        yield _gauge("flotilla_replica_max_step_tokens", "What a step may have now, fewer after each such one.", told)


def _counters(totals: list[tuple[list[str], Totals]]) -> Iterator[Metric]:
    prompt = [(place, told.prompt_tokens) for place, told in totals]
    yield _counter("vllm:prompt_tokens", "Tokens of prompts.", prompt)
    yield _counter("vllm:prefix_cache_queries", "Tokens of prompts that were looked up in the cache.", prompt)
    cached = [(place, told.cached_tokens) for place, told in totals]
    yield _counter("vllm:prefix_cache_hits", "Those that were found there.", cached)
    generated = [(place, told.generation_tokens) for place, told in totals]
    yield _counter("vllm:generation_tokens", "Tokens that were generated.", generated)
    ended = CounterMetricFamily(
        "vllm:request_success", "Requests by how they ended.", labels=[*_LABELS, "finished_reason"]
    )
    for place, told in totals:
        for reason, count in told.requests.items():
            ended.add_metric([*place, reason], count)
    yield ended


def _durations(totals: list[tuple[list[str], Totals]]) -> Iterator[Metric]:
    first = [(place, told.time_to_first_token) for place, told in totals]
    yield _histogram("vllm:time_to_first_token_seconds", "Until the first token.", first)
    each = [(place, told.time_per_output_token) for place, told in totals]
    yield _histogram("vllm:request_time_per_output_token_seconds", "A request's mean, after its first token.", each)
    whole = [(place, told.request_latency) for place, told in totals]
    yield _histogram("vllm:e2e_request_latency_seconds", "Of whole requests.", whole)


def _gauge(name: str, text: str, values: Iterable[tuple[list[str], float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=_LABELS)
    for place, value in values:
        family.add_metric(place, value)
    return family


def _counter(name: str, text: str, values: Iterable[tuple[list[str], float]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=_LABELS)
    for place, value in values:
        family.add_metric(place, value)
    return family


def _histogram(name: str, text: str, values: Iterable[tuple[list[str], Histogram]]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=_LABELS)
    for place, histogram in values:
        bounds = [*map(str, histogram.bounds), "+Inf"]
        family.add_metric(place, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.total)
    return family


def exposition(engines: Iterable[EngineProcess], accept: str) -> tuple[bytes, str]:
    """The page and its content type, as the Accept header wants it."""
    registry = CollectorRegistry()
    registry.register(_EngineCollector(engines))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
