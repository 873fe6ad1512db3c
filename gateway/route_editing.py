"""What an administrator decides about a name: which models answer for it, and which when those fail."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext

from fleet.models import LanguageModel
from gateway.models import Route


def check_targets(name: str, weights: Mapping[str, int]) -> None:
    """`weights`: by model. Raises ValidationError, which says what to change."""
    if not any(weights.values()):
        raise ValidationError(gettext("Name at least one model with a weight above 0."))
    if name not in weights and LanguageModel.objects.filter(name=name).exists():
        raise ValidationError(
            gettext(
                "There is a model named “%(name)s”. Choose another name for the route, or make that model one of "
                "the targets: the route then stands in front of it."
            )
            % {"name": name}
        )


def check_fallback(model: str, targets: Sequence[str]) -> None:
    """Raises ValidationError where it would be asked what has just failed."""
    if list(targets) == [model]:
        raise ValidationError(gettext("This model is the only target: choose another one to fall back on."))


def save_route(
    route: Route, *, targets: Sequence[Mapping[str, Any]] | None, fallbacks: Sequence[Mapping[str, Any]] | None
) -> Route:
    """With these targets (`model`, `weight`, `users`, `groups`) and fallbacks (`model`, `after`, in order) in place of
    all that it had; None leaves them as they are. Raises ValidationError, which names the field.
    """
    with transaction.atomic():
        _named("name", route.full_clean)
        route.save()
        if targets is not None:
            _replace_targets(route, targets)
        if fallbacks is not None:
            _replace_fallbacks(route, fallbacks)
        weights = dict(route.targets.values_list("model__name", "weight"))
        _named("targets", lambda: check_targets(route.name, weights))
        for fallback in route.fallbacks.select_related("model"):
            _named("fallbacks", lambda model=fallback.model.name: check_fallback(model, list(weights)))
    return route


def _replace_targets(route: Route, targets: Sequence[Mapping[str, Any]]) -> None:
    _named("targets", lambda: _check_distinct(targets))
    route.targets.all().delete()
    for given in targets:
        target = route.targets.create(model=given["model"], weight=given.get("weight", 100))
        target.users.set(given.get("users", ()))
        target.groups.set(given.get("groups", ()))


def _replace_fallbacks(route: Route, fallbacks: Sequence[Mapping[str, Any]]) -> None:
    _named("fallbacks", lambda: _check_distinct(fallbacks))
    route.fallbacks.all().delete()
    for position, given in enumerate(fallbacks):
        route.fallbacks.create(model=given["model"], after=list(given["after"]), position=position)


def _check_distinct(given: Sequence[Mapping[str, Any]]) -> None:
    names = [str(one["model"]) for one in given]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValidationError(gettext("“%(name)s” is named twice.") % {"name": twice[0]})


def _named(field: str, check: Any) -> None:
    """Raises ValidationError of that field for what has none."""
    try:
        check()
    except ValidationError as error:
        if hasattr(error, "error_dict"):
            raise
        raise ValidationError({field: error.messages}) from error
