"""Which models a person may choose from, and why not from the others."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from fleet.models import Replica
from fleet.snapshot import FleetSnapshot, read_fleet_snapshot
from gateway.routes import RouteEntry, Share, read_routes
from protocol.control import ANSWERING, ReplicaPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A deployed model, or a route. `reason` is empty where it can answer."""

    name: str
    description: str
    reason: str = ""

    @property
    def is_ready(self) -> bool:
        return not self.reason


def model_choices(user_id: int) -> list[ModelChoice]:
    """Every name that this person may chat with, models and routes; those that can answer come first."""
    fleet, routes = read_fleet_snapshot(), read_routes()
    choices = [_route_choice(route, shares, fleet) for route in routes.values() if (shares := route.open_to(user_id))]
    choices += _direct_choices(fleet, leave_out=routes)
    return sorted(choices, key=lambda choice: (not choice.is_ready, choice.name))


def _route_choice(route: RouteEntry, shares: Sequence[Share], fleet: FleetSnapshot) -> ModelChoice:
    models = {share.model for share in shares} | {leg.model for leg in route.fallbacks}
    is_ready = any("chat" in fleet.models[model].capabilities for model in models & set(fleet.models))
    reason = "" if is_ready else _("none of its models is ready")
    return ModelChoice(name=route.name, description=route.description, reason=reason)


def _direct_choices(fleet: FleetSnapshot, *, leave_out: Container[str]) -> list[ModelChoice]:
    waiting = _phases(set(fleet.models) - set(fleet.replicas))
    return [
        ModelChoice(
            name=entry.name,
            description=entry.description,
            reason="" if entry.name in fleet.replicas else _reason(waiting.get(entry.name, [])),
        )
        for entry in fleet.models.values()
        if entry.name not in leave_out and not entry.only_by_route
        if entry.name not in fleet.replicas or "chat" in entry.capabilities
    ]


def _phases(models: set[str]) -> dict[str, list[str]]:
    """Model name → the phases of its replicas."""
    phases: dict[str, list[str]] = {}
    rows = Replica.objects.desired().filter(deployment__model__name__in=models)
    for name, phase in rows.values_list("deployment__model__name", "phase"):
        phases.setdefault(name, []).append(phase)
    return phases


def _reason(phases: Sequence[str]) -> str:
    if not phases:
        return _("no worker has taken it yet")
    if not ANSWERING.isdisjoint(phases):
        return _("its worker is away")
    if ReplicaPhase.FAILED in phases:
        return _("it failed to load")
    return _("it is still loading")
