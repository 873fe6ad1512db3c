"""Rule: what a child server's /metrics says of its load. The names are so distinct that nobody needs to say whose
metrics they are, so a command that starts one of these servers is understood too."""

from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from workers.engines.base import EngineStats

_RUNNING = frozenset({
    "vllm:num_requests_running",
    "sglang:num_running_reqs",
    "llamacpp:requests_processing",
    "lightllm_batch_current_size",
})  # fmt: skip
_WAITING = frozenset({
    "vllm:num_requests_waiting",
    "sglang:num_queue_reqs",
    "llamacpp:requests_deferred",
    "lightllm_queue_size",
})  # fmt: skip
_STARTS = tuple(name.encode() for name in _RUNNING | _WAITING)


def load_in(metrics: bytes) -> EngineStats | None:
    """The load, over all its processes; None if nothing of it is in there."""
    samples = list(_samples(metrics))
    running = [sample.value for sample in samples if sample.name in _RUNNING]
    waiting = [sample.value for sample in samples if sample.name in _WAITING]
    if not running:
        return None
    return EngineStats(num_running=max(0, int(sum(running))), num_waiting=max(0, int(sum(waiting))))


def _samples(metrics: bytes) -> Iterator[Sample]:
    # Parsing all of it would cost tens of milliseconds: an engine has thousands of lines of histograms.
    lines = [line for line in metrics.splitlines() if line.startswith(_STARTS)]
    try:
        for family in text_string_to_metric_families(b"\n".join(lines).decode(errors="replace") + "\n"):
            # SGLang repeats its totals by priority.
            yield from (sample for sample in family.samples if not sample.labels.get("priority"))
    except ValueError:
        # A line that is no metric; what came before it counts.
        return
