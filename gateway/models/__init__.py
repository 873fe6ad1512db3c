"""Who may call (APIKey) and what every call cost (UsageRecord, rolled up by hour in UsageHour)."""

from gateway.models.api_key import APIKey, APIKeyQuerySet
from gateway.models.usage import CountSource, UsageHour, UsageRecord, UsageState

__all__ = ["APIKey", "APIKeyQuerySet", "CountSource", "UsageHour", "UsageRecord", "UsageState"]
