"""One text's moderation in OpenAI's shape, whoever judged it."""

from collections.abc import Mapping
from typing import Any

OPENAIS_CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm"),
    *("self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic"),
)
"""Clients read them by name, so they are always there; false where nobody here knows them."""

_HARMLESS = frozenset(
    {"neutral", "safe", "ok", "none", "normal", "clean", "other", "harmless", "benign", "nothate", "label_0"}
    | {f"{no}{gap}{bad}" for no in ("no", "non", "not") for gap in "-_ " for bad in ("toxic", "hate", "offensive")}
)


def is_harm(label: str) -> bool:
    """Whether a text of which this label is true is one to be found: many classifiers have a label for all others.

    LABEL_0 is the first of those that nobody named.
    """
    return label.lower() not in _HARMLESS


def moderation_result(scores: Mapping[str, float], found: Mapping[str, bool]) -> dict[str, Any]:
    """`scores`: from 0 to 1, by category; `found`: which of those are too high."""
    categories = dict.fromkeys(OPENAIS_CATEGORIES, False) | dict(found)
    return {
        "flagged": any(categories.values()),
        "categories": categories,
        "category_scores": dict.fromkeys(OPENAIS_CATEGORIES, 0.0) | dict(scores),
        "category_applied_input_types": {name: ["text"] for name in categories},
    }
