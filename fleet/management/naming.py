"""What people call rows on the command line: a worker by its name, a deployment by its model, or either by its id."""

from typing import TypeVar

from django.core.management.base import CommandError
from django.db.models import Model

from fleet.models import Deployment, Replica, Worker

_Row = TypeVar("_Row", bound=Model)
_SHORTEST_ID = 4
_MAX_TOLD = 8


def find_worker(name: str) -> Worker:
    """By name or the beginning of its id. Raises CommandError, which tells what there is."""
    members = list(Worker.objects.filter(revoked_at=None))
    found = [worker for worker in members if worker.name == name] or _by_id(members, name)
    return _only(found, f"worker called {name}", [worker.name for worker in members], "workers")


def find_deployment(name: str) -> Deployment:
    """By its number, or its model's name when that has one deployment only. Raises CommandError."""
    deployments = list(Deployment.objects.select_related("model"))
    found = [one for one in deployments if str(one.pk) == name] or [
        one for one in deployments if one.model.name == name
    ]
    return _only(found, f"deployment {name}", [f"{one.pk} ({one.model.name})" for one in deployments], "deployments")


def find_replica(name: str) -> Replica:
    """By the beginning of its id. Raises CommandError."""
    replicas = list(Replica.objects.desired().select_related("deployment__model", "worker"))
    return _only(_by_id(replicas, name), f"replica {name}", [str(one.pk)[:8] for one in replicas], "replicas")


def _by_id(rows: list[_Row], beginning: str) -> list[_Row]:
    if len(beginning) < _SHORTEST_ID:
        return []
    return [row for row in rows if str(row.pk).startswith(beginning.lower())]


def _only(found: list[_Row], what: str, known: list[str], kind: str) -> _Row:
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(row.pk) for row in found[:_MAX_TOLD])
        raise CommandError(f"There is more than one {what}. Give its id: {ids}.")
    if not known:
        raise CommandError(f"There is no {what}, and there are no {kind} at all.")
    shown = ", ".join(known[:_MAX_TOLD]) + (" …" if len(known) > _MAX_TOLD else "")
    raise CommandError(f"There is no {what}. The {kind}: {shown}. See: manage.py fleet {kind}.")
