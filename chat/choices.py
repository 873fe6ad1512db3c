"""Which models a person may choose from, and why not from the others."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from fleet.models import Replica
from fleet.snapshot import read_fleet_snapshot
from protocol.control import ReplicaPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A deployed model. `reason` is empty where it can answer."""

    name: str
    description: str
    reason: str = ""

    @property
    def is_ready(self) -> bool:
        return not self.reason


def model_choices() -> list[ModelChoice]:
    """Every deployed model that can chat; those that can answer come first."""
    fleet = read_fleet_snapshot()
    waiting = _phases(set(fleet.models) - set(fleet.replicas))
    choices = [
        ModelChoice(
            name=entry.name,
            description=entry.description,
            reason="" if entry.name in fleet.replicas else _reason(waiting.get(entry.name, [])),
        )
        for entry in fleet.models.values()
        if entry.name not in fleet.replicas or "chat" in entry.capabilities
    ]
    return sorted(choices, key=lambda choice: (not choice.is_ready, choice.name))


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
    if ReplicaPhase.READY in phases:
        return _("its worker is away")
    if ReplicaPhase.FAILED in phases:
        return _("it failed to load")
    return _("it is still loading")
