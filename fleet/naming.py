"""Names that callers may write: those of models, and those that other parts of the server answer to."""

from collections.abc import Callable

from django.utils.functional import Promise

reservations: list[Callable[[str], str | Promise | None]] = []
"""Each gives the reason why a name is no longer free for a model, in words that say what to do; None: it is free. For
whom models are below, and who is known to none of them."""


def why_reserved(name: str) -> str | Promise | None:
    return next((why for reason in reservations if (why := reason(name))), None)
