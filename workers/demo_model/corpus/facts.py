"""Small facts: capitals, opposites, colours, animals, days and months."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from workers.demo_model.corpus.conversation import Conversation
from workers.demo_model.corpus.turns import Language, Turn, table

ALIASES = {
    "the United States": ["the USA", "the US", "America", "USA", "the United States of America", "United States"],
    "the United Kingdom": ["the UK", "UK", "Britain", "Great Britain", "United Kingdom"],
    "the Netherlands": ["Holland", "Netherlands"],
    "the Czech Republic": ["Czechia", "Czech Republic"],
    "the Philippines": ["Philippines"],
    "the United Arab Emirates": ["the UAE", "United Arab Emirates"],
    "印度尼西亚": ["印尼"],
    "沙特阿拉伯": ["沙特"],
    "韩国": ["南韩"],
    "阿联酋": ["阿拉伯联合酋长国"],
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fact: how it is asked for, continued and told. `{x}` is asked about, `{y}` is the answer."""

    name: str
    skill: str
    asks: dict[Language, Sequence[str]]
    follow_ups: dict[Language, Sequence[str]]
    answers: dict[Language, str]
    noun_phrases: dict[Language, str]
    key: str


KINDS = {row["name"]: Kind(**row) for row in table("facts")}
WEIGHTS = {
    "capital": 8,
    "opposite": 7,
    "colour": 1.8,
    "sound": 1.8,
    "after": 4,
    "before": 4,
}


def fact(conversation: Conversation) -> Turn:
    """A fresh question about some fact."""
    kind = draw_kind(conversation.rng)
    return _turn(kind, kind.asks, conversation)


def next_fact(conversation: Conversation) -> Turn:
    """A short follow-up to the fact that the chat has just been about."""
    kind = KINDS[conversation.continues]
    return _turn(kind, kind.follow_ups, conversation)


def draw_kind(rng: random.Random) -> Kind:
    """A kind of fact, the commonest questions most often."""
    return KINDS[rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]]


def _turn(kind: Kind, patterns: dict[Language, Sequence[str]], conversation: Conversation) -> Turn:
    pattern, asks = conversation.wording(patterns)
    return Turn(
        skill=kind.skill,
        language=conversation.language,
        pattern=pattern,
        asks=asks,
        answers=kind.answers[conversation.language],
        slots=slots_of(kind, conversation),
        continues=kind.name,
    )


def slots_of(kind: Kind, conversation: Conversation) -> dict[str, str]:
    """x as it is asked about, name as the answer calls it (Name at the head of a sentence), and the answer y."""
    name, y = conversation.rng.choice(_pairs(kind.name, conversation.language))
    names = [name, name, *ALIASES.get(name, [])]
    x = conversation.rng.choice(names) if kind.name == "capital" else name
    return {"x": x, "name": name, "Name": name[:1].upper() + name[1:], "y": y}


@cache
def _pairs(kind: str, language: Language) -> list[tuple[str, str]]:
    is_chinese = language == "zh"
    words = table("words")
    match kind:
        case "capital":
            return [(row[is_chinese], row[2 + is_chinese]) for row in table("countries")]
        case "opposite":
            return _both_ways(words[f"opposites_{language}"])
        case "colour":
            return [(row[is_chinese], row[2 + is_chinese]) for row in words["colors"]]
        case "sound":
            return [(row[is_chinese], row[2 + is_chinese]) for row in words["animals"]]
        case _:
            return _neighbours(1 if kind == "after" else -1, language)


def _both_ways(pairs: list[list[str]]) -> list[tuple[str, str]]:
    """Each word once: the first pair that names it decides what its opposite is."""
    forward = {pair[0]: pair[1] for pair in reversed(pairs)}
    backward = {pair[1]: pair[0] for pair in reversed(pairs)}
    return list((backward | forward).items())


def _neighbours(step: int, language: Language) -> list[tuple[str, str]]:
    words = table("words")
    days = words["days"][language == "zh"]
    months = [f"{digits}月" for digits in words["numbers"][1][1:13]] if language == "zh" else words["months"]
    return [(name, row[(index + step) % len(row)]) for row in (days, months) for index, name in enumerate(row)]
