"""Who may call (APIKey), by which names (Route), and what every call cost (UsageRecord; UsageHour: sums by hour).

BudgetWarning: who is about to be refused. ContentPolicy: what may not be said.
StoredResponse: what was asked to be kept of it."""

from gateway.models.allowance import Allowance
from gateway.models.api_key import APIKey, APIKeyQuerySet, KeyScope, KeyState
from gateway.models.budget_warning import BudgetWarning, BudgetWarningQuerySet
from gateway.models.content_policy import ContentAction, ContentDirection, ContentPolicy
from gateway.models.response import StoredResponse
from gateway.models.route import FailureClass, Route, RouteFallback, RouteTarget
from gateway.models.usage import CountSource, UsageHour, UsageRecord, UsageState

__all__ = [
    "APIKey",
    "APIKeyQuerySet",
    "Allowance",
    "BudgetWarning",
    "BudgetWarningQuerySet",
    "ContentAction",
    "ContentDirection",
    "ContentPolicy",
    "CountSource",
    "FailureClass",
    "KeyScope",
    "KeyState",
    "Route",
    "RouteFallback",
    "RouteTarget",
    "StoredResponse",
    "UsageHour",
    "UsageRecord",
    "UsageState",
]
