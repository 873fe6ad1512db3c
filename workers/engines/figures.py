"""What an engine has done since it started: the figures that vLLM tells, of which daemons make theirs."""

import bisect
from dataclasses import dataclass, field

_BOUNDS_S = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Histogram:
    """Durations in seconds. `counts`: how many lie between each bound and the one before it, then those beyond all."""

    bounds: tuple[float, ...] = _BOUNDS_S
    counts: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS_S) + 1))
    total: float = 0.0

    def observe(self, duration_s: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, duration_s)] += 1
        self.total += duration_s


@dataclass(slots=True, kw_only=True)
class Totals:
    """Since the engine started; they only grow."""

    prompt_tokens: int = 0
    generation_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompts': those that had been computed for an earlier request."""
    requests: dict[str, int] = field(default_factory=dict)
    """By how they ended: OpenAI's finish_reason, or "abort" for those that were broken off or failed."""
    time_to_first_token: Histogram = field(default_factory=Histogram)
    time_per_output_token: Histogram = field(default_factory=Histogram)
    """The mean of each request, after its first token."""
    request_latency: Histogram = field(default_factory=Histogram)
