"""`manage.py fleet`, whole: the fleet's own acts, and those on routes, which the fleet does not know."""

from typing import Any

from fleet.management.command import FleetCommand, add_act
from gateway.management.route_acts import RouteActs


class Command(RouteActs, FleetCommand):
    def add_acts(self, acts: Any) -> None:
        super().add_acts(acts)
        self.add_route_acts(acts, add_act)
