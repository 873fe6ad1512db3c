"""Routes as text and as values."""

from collections.abc import Iterable
from typing import Any

from fleet.management.tables import table
from gateway.models import Route


def routes_table(routes: Iterable[Route]) -> str:
    return table(("ROUTE", "ANSWERED BY", "ELSE", "DESCRIPTION"), [_row(route) for route in routes])


def route_values(route: Route) -> dict[str, Any]:
    return {
        "name": route.name,
        "description": route.description,
        "targets": [
            {
                "model": target.model.name,
                "weight": target.weight,
                "users": [user.username for user in target.users.all()],
                "groups": [group.name for group in target.groups.all()],
            }
            for target in route.targets.all()
        ],
        "fallbacks": [{"model": one.model.name, "after": one.after} for one in route.fallbacks.all()],
    }


def _row(route: Route) -> tuple[str, ...]:
    shares = (f"{target.model} {share:.4g} %" for target, share in route.percentages())
    fallbacks = (str(fallback) for fallback in route.fallbacks.all())
    return route.name, ", ".join(shares) or "nobody", ", ".join(fallbacks) or "–", " ".join(route.description.split())
