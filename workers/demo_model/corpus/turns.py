"""One question and its one right answer, before anybody has typed it."""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

Language = Literal["en", "zh"]

DATA = Path(__file__).parent / "data"
INNERMOST_CHOICE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{(=?)(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """`asks` and `answers` hold `{slot}` for a slot's value and `{=slot}` for that value as the person typed it.

    pattern: the family of wordings that `asks` was expanded from.
    open_slots: slots that may hold any word at all, so the model must copy rather than know.
    remembers: memory key -> slot, what later turns may ask for.
    continues: what a short follow-up ("And of Japan?") would go on with.
    is_plain: typed without "please" and the like, which would change its meaning.
    """

    skill: str
    language: Language
    pattern: str
    asks: str
    answers: str
    slots: Mapping[str, str] = field(default_factory=dict)
    open_slots: tuple[str, ...] = ()
    remembers: Mapping[str, str] = field(default_factory=dict)
    continues: str = ""
    is_plain: bool = False


def expand(pattern: str, rng: random.Random) -> str:
    """One wording of a pattern, where `[a|b|]` stands for any one of its alternatives."""
    while choice := INNERMOST_CHOICE.search(pattern):
        pattern = pattern[: choice.start()] + rng.choice(choice[1].split("|")) + pattern[choice.end() :]
    return pattern


def fill(template: str, values: Mapping[str, str], typed: Mapping[str, str] | None = None) -> str:
    """The template with its slots filled; JSON's own braces stay, since no slot's name begins with a quote."""
    return SLOT.sub(lambda slot: (typed if typed and slot[1] else values)[slot[2]], template)


@cache
def table(name: str) -> Any:
    """A JSON table of the corpus."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
