"""What a name means: the models that answer for it, in the order in which they are asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from random import random

from django.contrib.auth import get_user_model
from django.db.models import QuerySet

from gateway.errors import GatewayError, ModelNotFound, NoReplicaReady, UpstreamFailed, UpstreamTimeout
from gateway.models import FailureClass, Route, RouteFallback, RouteTarget
from gateway.policies import stable_hash

ANY_FAILURE = frozenset(FailureClass)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A model to ask, if the one before it failed in one of these ways."""

    model: str
    after: frozenset[FailureClass] = ANY_FAILURE


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A model and its part of a route's requests."""

    model: str
    weight: int
    only_for: frozenset[int] | None
    """Ids of users; None for everybody."""

    def admits(self, user_id: int | None) -> bool:
        return self.only_for is None or user_id in self.only_for


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEntry:
    """A route as the snapshot has it."""

    name: str
    description: str
    created_at: datetime
    shares: tuple[Share, ...]
    fallbacks: tuple[Leg, ...]

    def open_to(self, user_id: int | None) -> list[Share]:
        """The shares that a caller may draw; without one, the route does not exist for them."""
        return [share for share in self.shares if share.weight and share.admits(user_id)]

    def legs(self, shares: Sequence[Share], *, session: str, is_ready: Callable[[str], bool]) -> list[Leg]:
        """Whom to ask: one of the shares, drawn by weight, then the fallbacks.

        The same session draws the same model as long as the weights stay. A model that has no replica ready is drawn
        only if none has.
        """
        able = [share for share in shares if is_ready(share.model)] or shares
        drawn = _drawn(able, stable_hash(f"{self.name}/{session}") / 2**64 if session else random())
        return [Leg(model=drawn.model), *(leg for leg in self.fallbacks if leg.model != drawn.model)]


def legs_after(legs: Sequence[Leg], error: GatewayError) -> Sequence[Leg]:
    """What is left of the legs after the first one failed that way; nothing where nobody may be asked any more."""
    failure = failure_class(error)
    for position, leg in enumerate(legs[1:], 1):
        if failure in leg.after:
            return legs[position:]
    return ()


def failure_class(error: GatewayError) -> FailureClass | None:
    """None for what would fail with any model, or must not be tried twice."""
    match error:
        case NoReplicaReady() | ModelNotFound():
            return FailureClass.NO_REPLICA
        case UpstreamTimeout():
            return FailureClass.TIMEOUT
        case UpstreamFailed():
            return FailureClass.UPSTREAM_FAILED
    if error.code == "context_length_exceeded":
        return FailureClass.CONTEXT_LENGTH
    return FailureClass.OVERLOADED if error.status in (429, 503) else None


def read_routes() -> Mapping[str, RouteEntry]:
    """All routes, by name: one query if there are none, else six."""
    routes = Route.objects.prefetch_related("targets__model", "targets__users", "targets__groups", "fallbacks__model")
    members = _members_by_group(routes)
    return {route.name: _entry(route, members) for route in routes}


def _members_by_group(routes: QuerySet[Route]) -> dict[int, set[int]]:
    groups = {group.pk for route in routes for target in route.targets.all() for group in target.groups.all()}
    members: dict[int, set[int]] = {group: set() for group in groups}
    if groups:
        pairs = get_user_model().objects.filter(groups__in=groups).values_list("groups", "pk")
        for group, user in pairs:
            members.setdefault(group, set()).add(user)
    return members


def _entry(route: Route, members: Mapping[int, set[int]]) -> RouteEntry:
    return RouteEntry(
        name=route.name,
        description=route.description,
        created_at=route.created_at,
        shares=tuple(_share(target, members) for target in route.targets.all()),
        fallbacks=tuple(_leg(fallback) for fallback in route.fallbacks.all()),
    )


def _share(target: RouteTarget, members: Mapping[int, set[int]]) -> Share:
    users = {user.pk for user in target.users.all()}
    groups = [group.pk for group in target.groups.all()]
    # A group without members is for nobody, not for everybody.
    only_for = frozenset(users.union(*(members[group] for group in groups))) if users or groups else None
    return Share(model=target.model.name, weight=target.weight, only_for=only_for)


def _leg(fallback: RouteFallback) -> Leg:
    return Leg(model=fallback.model.name, after=frozenset(map(FailureClass, fallback.after)))


def _drawn(shares: Sequence[Share], point: float) -> Share:
    """The share that the point, from 0 to 1, falls into."""
    limits = list(accumulate(share.weight for share in shares))
    return next(share for share, limit in zip(shares, limits, strict=True) if point * limits[-1] < limit)
