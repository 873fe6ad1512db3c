"""Requests counted for Prometheus as they end, in this web process."""

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram

if TYPE_CHECKING:
    from gateway.moderation.policies import Finding
    from gateway.usage import UsageEntry

REGISTRY = CollectorRegistry()
_UNKNOWN_MODEL = "model_not_found"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

_requests = Counter(
    "flotilla_requests",
    "Requests for inference that have ended; `state` as in the usage records.",
    ["model", "endpoint", "state"],
    registry=REGISTRY,
)
_tokens = Counter("flotilla_tokens", "Tokens, as accounted.", ["model", "kind"], registry=REGISTRY)
_durations = Histogram(
    "flotilla_request_duration_seconds",
    "From the request's arrival to its last byte.",
    ["model"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
_first_tokens = Histogram(
    "flotilla_time_to_first_token_seconds",
    "From the request's arrival to the first text of a stream.",
    ["model"],
    buckets=_SECONDS,
    registry=REGISTRY,
)

_findings = Counter(
    "flotilla_content_findings",
    "What content policies found in questions (`input`) and answers (`output`), and whether they refused or marked it.",
    ["policy", "action", "direction"],
    registry=REGISTRY,
)


def observe_finding(finding: "Finding") -> None:
    """Count what a content policy found."""
    _findings.labels(finding.policy, finding.action, finding.direction).inc()


def observe(entry: "UsageEntry") -> None:
    """Count a request that has ended."""
    # Callers may write any name: those that mean nothing share a label, or they could make labels without end.
    model = "" if entry.error_code == _UNKNOWN_MODEL else entry.model
    _requests.labels(model, entry.endpoint, entry.state).inc()
    _durations.labels(model).observe(entry.duration_ms / 1000)
    if entry.prompt_tokens or entry.completion_tokens:
        _tokens.labels(model, "prompt").inc(entry.prompt_tokens)
        _tokens.labels(model, "completion").inc(entry.completion_tokens)
    if entry.time_to_first_token_ms is not None:
        _first_tokens.labels(model).observe(entry.time_to_first_token_ms / 1000)
