"""What people call rows on the command line: a worker by its name, a deployment by its model, or either by its id."""

from typing import TypeVar

from django.core.management.base import CommandError
from django.db.models import Model

from fleet.models import Deployment, JoinToken, LanguageModel, Provider, ProviderModel, Replica, Worker

_Row = TypeVar("_Row", bound=Model)
_SHORTEST_ID = 4
_MAX_TOLD = 8


def find_worker(name: str) -> Worker:
    """By name or the beginning of its id. Raises CommandError, which tells what there is."""
    members = list(Worker.objects.filter(revoked_at=None))
    found = [worker for worker in members if worker.name == name] or _by_id(members, name)
    return only(found, f"worker called {name}", [worker.name for worker in members], "workers")


def find_deployment(name: str) -> Deployment:
    """By its number, or its model's name when that has one deployment only. Raises CommandError."""
    deployments = list(Deployment.objects.select_related("model"))
    found = [one for one in deployments if str(one.pk) == name] or [
        one for one in deployments if one.model.name == name
    ]
    return only(found, f"deployment {name}", [f"{one.pk} ({one.model.name})" for one in deployments], "deployments")


def find_provider(name: str) -> Provider:
    """By its name. Raises CommandError."""
    providers = list(Provider.objects.all())
    found = [one for one in providers if one.name == name]
    return only(found, f"provider called {name}", [one.name for one in providers], "providers")


def find_offer(provider: Provider, upstream_name: str, model: str | None) -> ProviderModel | None:
    """Of that model there, for this one of ours; without one, the only one. Raises CommandError."""
    offers = list(provider.models.filter(upstream_name=upstream_name).select_related("model"))
    found = [offer for offer in offers if model in (None, offer.model.name)]
    if len(found) > 1:
        names = ", ".join(offer.model.name for offer in found)
        raise CommandError(f"{upstream_name} answers for several models: {names}. Say with --model which one.")
    return found[0] if found else None


def find_model(name: str) -> LanguageModel:
    """By its name. Raises CommandError."""
    models = list(LanguageModel.objects.all())
    return only([one for one in models if one.name == name], f"model called {name}", [*map(str, models)], "models")


def find_join_token(name: str) -> JoinToken:
    """By its number, or its name when only one that is not revoked has it. Raises CommandError."""
    tokens = list(JoinToken.objects.filter(revoked_at=None))
    found = [one for one in tokens if str(one.pk) == name] or [one for one in tokens if one.name == name]
    return only(found, f"join token {name}", [f"{one.pk} ({one.name})" for one in tokens], "join tokens")


def find_replica(name: str) -> Replica:
    """By the beginning of its id. Raises CommandError."""
    replicas = list(Replica.objects.desired().select_related("deployment__model", "worker"))
    return only(_by_id(replicas, name), f"replica {name}", [str(one.pk)[:8] for one in replicas], "replicas")


def _by_id(rows: list[_Row], beginning: str) -> list[_Row]:
    if len(beginning) < _SHORTEST_ID:
        return []
    return [row for row in rows if str(row.pk).startswith(beginning.lower())]


def only(found: list[_Row], what: str, known: list[str], kind: str) -> _Row:
    """The one that was found. Raises CommandError, which tells the names that are `known`, and where to see them."""
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(row.pk) for row in found[:_MAX_TOLD])
        raise CommandError(f"There is more than one {what}. Give its id: {ids}.")
    if not known:
        raise CommandError(f"There is no {what}, and there are no {kind} at all.")
    shown = ", ".join(known[:_MAX_TOLD]) + (" …" if len(known) > _MAX_TOLD else "")
    raise CommandError(f"There is no {what}. The {kind}: {shown}. See: manage.py fleet {kind.replace(' ', '-')}.")
