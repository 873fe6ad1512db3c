"""Who may call (APIKey), by which names (Route), and what every call cost (UsageRecord; UsageHour: sums by hour)."""

from gateway.models.api_key import APIKey, APIKeyQuerySet, KeyScope
from gateway.models.route import FailureClass, Route, RouteFallback, RouteTarget
from gateway.models.usage import CountSource, UsageHour, UsageRecord, UsageState

__all__ = [
    "APIKey",
    "APIKeyQuerySet",
    "CountSource",
    "FailureClass",
    "KeyScope",
    "Route",
    "RouteFallback",
    "RouteTarget",
    "UsageHour",
    "UsageRecord",
    "UsageState",
]
