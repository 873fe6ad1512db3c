"""GET /v1/usage: what this key has used, and what is left of its limits. No model is called, and it is not metered."""

from datetime import datetime
from typing import Any, cast

import msgspec
from django.conf import settings
from django.http import HttpResponse
from django.utils.timezone import get_current_timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from gateway.api.authentication import MayReadUsage
from gateway.api.schema import described
from gateway.api.views import GatewayView
from gateway.keyring import Caller
from gateway.limits import Balance, Measure, current_period
from gateway.own_usage import OwnUsage, asked_period, read_own_usage
from gateway.reports import FIGURES, Sums
from gateway.runtime import current

_DAY = "A day as 2026-03-31, included; "


class UsageView(GatewayView):
    """What this key has used, and what is left of its limits and of its team's."""

    permission_classes = (MayReadUsage,)

    @extend_schema(
        **described("retrieveUsage", None, "Usage"),
        parameters=[
            OpenApiParameter("start", str, description=_DAY + "without it, 30 days up to the end."),
            OpenApiParameter("end", str, description=_DAY + "without it, today."),
        ],
    )
    async def get(self, request: Request) -> HttpResponse:
        period = asked_period(request.query_params.dict())
        caller = cast(Caller, request.user)
        found = await read_own_usage(caller, period, current().limiter)
        return HttpResponse(msgspec.json.encode(_told(found, caller)), content_type="application/json")


def _told(usage: OwnUsage, caller: Caller) -> dict[str, Any]:
    return {
        "object": "usage",
        "key": caller.key_name,
        "currency": settings.CURRENCY,
        "start": usage.period.first,
        "end": usage.period.last,
        "total": _figures(usage.total),
        "by_model": [{"model": line.key, **_figures(line.sums)} for line in usage.models],
        "by_day": [{"day": line.key, **_figures(line.sums)} for line in usage.days],
        **{f"this_{span}": _running(sums, *current_period(span)) for span, sums in usage.running.items()},
        "limits": [_limit(balance) for balance in usage.balances],
    }


def _figures(sums: Sums) -> dict[str, Any]:
    figures = {name: getattr(sums, name) for name in FIGURES} | {"total_tokens": sums.total_tokens}
    return figures | {"cost": float(sums.cost)}


def _running(sums: Sums, start: datetime, end: datetime) -> dict[str, Any]:
    return {"start": start, "end": end, **_figures(sums)}


def _limit(balance: Balance) -> dict[str, Any]:
    limit, resets_at_s = balance.limit, balance.resets_at_s
    return {
        "of": limit.subject,
        "measure": limit.measure,
        "span": limit.span,
        "limit": _amount(limit.measure, limit.amount),
        "used": _amount(limit.measure, balance.used),
        "left": _amount(limit.measure, balance.left),
        "resets_at": resets_at_s and datetime.fromtimestamp(resets_at_s, get_current_timezone()),
    }


def _amount(measure: Measure, amount: float) -> float:
    """What was asked for in whole numbers is told in them."""
    return round(amount, 6) if measure is Measure.COST else round(amount)
