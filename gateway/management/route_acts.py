"""`manage.py fleet`, as far as it is about routes."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import CommandError
from django.db.models import Model

from accounts.models import User
from fleet.management.naming import find_model, only
from gateway.management.route_arguments import audience, second_choice, share
from gateway.management.route_tables import route_values, routes_table
from gateway.models import Route
from gateway.route_editing import save_route

Add = Callable[[Any, str, Callable[..., None], str], Any]


class RouteActs:
    """Mixed into the command, which shows and tells."""

    _show: Callable[..., None]
    _tell: Callable[..., None]

    def add_route_acts(self, acts: Any, add: Add) -> None:
        look = add(acts, "routes", self.routes, "names of your own, and which models answer for them")
        look.add_argument("--json", action="store_true", help="for programs")
        make = _with_lists(add(acts, "add-route", self.add_route, "let a name of your own stand for models"))
        make.add_argument("name", help="what callers write")
        change = _with_lists(add(acts, "change-route", self.change_route, "each list that is given replaces the old"))
        change.add_argument("route")
        change.add_argument("--name", help="another one")
        change.add_argument("--no-fallbacks", action="store_true", help="ask nobody else when the targets fail")
        add(acts, "remove-route", self.remove_route, "callers who write this name get 404").add_argument("route")

    def routes(self, given: dict[str, Any]) -> None:
        lists = ("targets__model", "targets__users", "targets__groups", "fallbacks__model")
        rows = list(Route.objects.prefetch_related(*lists))
        self._show(given, [route_values(route) for route in rows], routes_table(rows))

    def add_route(self, given: dict[str, Any]) -> None:
        self._tell(True, f"{_saved(Route(), given)} is added.")

    def change_route(self, given: dict[str, Any]) -> None:
        self._tell(True, f"{_saved(_find_route(given['route']), given)} is changed.")

    def remove_route(self, given: dict[str, Any]) -> None:
        route = _find_route(given["route"])
        route.delete()
        self._tell(True, f"{route} is removed.")


def _with_lists(parser: Any) -> Any:
    parser.add_argument("--description")
    lists = (
        ("--target", share, "MODEL[=WEIGHT]", "gets this share of the requests; may be repeated"),
        ("--users", audience, "MODEL=NAME,…", "of the targets, this one is for these users only"),
        ("--groups", audience, "MODEL=NAME,…", "of the targets, this one is for these groups only"),
        ("--fallback", second_choice, "MODEL[=FAILURE,…]", "is asked when those before it failed; may be repeated"),
    )
    for flag, kind, metavar, help_text in lists:
        parser.add_argument(flag, type=kind, action="append", metavar=metavar, help=help_text)
    return parser


def _saved(route: Route, given: dict[str, Any]) -> Route:
    for field in ("name", "description"):
        if given[field] is not None:
            setattr(route, field, given[field])
    return save_route(route, targets=_targets(given), fallbacks=_fallbacks(given))


def _targets(given: dict[str, Any]) -> list[dict[str, Any]] | None:
    """None: as they are; of a new route, that is none, which saving it refuses."""
    users, groups = dict(given["users"] or ()), dict(given["groups"] or ())
    named = [model for model, _ in given["target"] or ()]
    if strangers := [model for model in (*users, *groups) if model not in named]:
        raise CommandError(f"targets: {strangers[0]} is restricted but not among them. Add --target {strangers[0]}.")
    if given["target"] is None:
        return None
    return [
        {
            "model": find_model(model),
            "weight": weight,
            "users": _all_of(User, "username", users.get(model, ())),
            "groups": _all_of(Group, "name", groups.get(model, ())),
        }
        for model, weight in given["target"]
    ]


def _fallbacks(given: dict[str, Any]) -> list[dict[str, Any]] | None:
    if given["fallback"] is None:
        return [] if given.get("no_fallbacks") else None
    return [{"model": find_model(model), "after": after} for model, after in given["fallback"]]


def _all_of(kind: type[Model], field: str, names: Iterable[str]) -> list[Model]:
    """Raises CommandError for the first that is not there."""
    found = {getattr(row, field): row for row in kind._default_manager.filter(**{f"{field}__in": list(names)})}
    for name in names:
        if name not in found:
            raise CommandError(f"There is no {kind._meta.model_name} called {name}. Add them in the admin first.")
    return list(found.values())


def _find_route(name: str) -> Route:
    routes = list(Route.objects.all())
    return only([one for one in routes if one.name == name], f"route called {name}", [*map(str, routes)], "routes")
