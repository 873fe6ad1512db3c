"""The names that callers may write, from memory."""

from dataclasses import dataclass
from datetime import datetime

from fleet.pricing import Price, dearest
from fleet.snapshot import ModelEntry
from gateway.errors import ModelNotFound
from gateway.keyring import Caller
from gateway.routes import RouteEntry
from gateway.runtime import current
from gateway.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A model or a route, as it is for one caller; without capabilities while no replica is ready."""

    name: str
    created_at: datetime
    capabilities: frozenset[str]
    context_length: int | None
    owner: str
    """Empty: not known, or several."""
    price: Price | None
    """The most that a call may cost, where several may answer."""


def offers(caller: Caller) -> list[Offer]:
    """Every name that this caller may write, whether or not a replica is ready."""
    snapshot = current().poller.latest
    names = sorted({*snapshot.routes, *snapshot.fleet.models})
    return [offer for name in names if (offer := _offer(snapshot, name, caller))]


def offer(name: str, caller: Caller) -> Offer:
    """Raises ModelNotFound."""
    found = _offer(current().poller.latest, name, caller)
    if found is None:
        raise ModelNotFound(name)
    return found


def _offer(snapshot: Snapshot, name: str, caller: Caller) -> Offer | None:
    if not caller.may_name(name):
        return None
    if route := snapshot.routes.get(name):
        return _of_route(snapshot, route, caller)
    model = snapshot.model(name)
    return None if model is None or model.only_by_route else _of_model(model)


def _of_model(model: ModelEntry) -> Offer:
    return Offer(
        name=model.name,
        created_at=model.created_at,
        capabilities=model.capabilities,
        context_length=model.context_length,
        owner=model.owner,
        price=model.price,
    )


def _of_route(snapshot: Snapshot, route: RouteEntry, caller: Caller) -> Offer | None:
    """What any of its models can do, in the context of the shortest: the caller does not choose which one answers."""
    shares = route.open_to(caller.user_id)
    models = [model for share in shares if (model := snapshot.model(share.model))]
    owners = {model.owner for model in models}
    lengths = [model.context_length for model in models if model.context_length]
    if not shares:
        return None
    return Offer(
        name=route.name,
        created_at=route.created_at,
        capabilities=frozenset().union(*(model.capabilities for model in models)),
        context_length=min(lengths, default=None),
        owner=owners.pop() if len(owners) == 1 else "",
        price=dearest(model.price for model in models if model.price),
    )
