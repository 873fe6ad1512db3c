"""The gateway's part of admin's overview: the last hour, beside the hour before."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Q, Sum
from django.utils.timezone import now

from fleet.fragments import Fragment
from gateway.models import UsageRecord
from gateway.reports import WENT_WELL
from gateway.usage_report import change

_HOUR = timedelta(hours=1)
_FRESH_FOR_S = 5
"""Sums over an hour of a busy gateway are no query for every second of every open page."""


def gateway_fragments(kinds: Collection[str]) -> dict[str, Fragment]:
    if "traffic" not in kinds:
        return {}
    figures = cache.get_or_set("gateway.overview.last_hour", _last_hour, _FRESH_FOR_S)
    return {"traffic": Fragment("gateway/_traffic.html", {"figures": figures})}


def _last_hour() -> dict[str, Any]:
    moment = now()
    hour, before = _sums(moment - _HOUR, moment), _sums(moment - 2 * _HOUR, moment - _HOUR)
    return {
        **hour,
        "requests_change": change(hour["requests"], before["requests"]),
        "tokens_change": change(hour["tokens"], before["tokens"]),
    }


def _sums(start: datetime, end: datetime) -> dict[str, int]:
    sums = UsageRecord.objects.filter(created_at__gt=start, created_at__lte=end).aggregate(
        requests=Count("pk"),
        failed=Count("pk", filter=~Q(state__in=WENT_WELL)),
        prompt=Sum("prompt_tokens", default=0),
        completion=Sum("completion_tokens", default=0),
    )
    return {"requests": sums["requests"], "failed": sums["failed"], "tokens": sums["prompt"] + sums["completion"]}
