"""What the person tells about themselves, and asks for turns later; and words to repeat."""

from collections.abc import Sequence
from dataclasses import dataclass

from workers.demo_model.corpus import naming
from workers.demo_model.corpus.conversation import Conversation
from workers.demo_model.corpus.turns import Language, Turn, table


@dataclass(frozen=True, slots=True)
class Trait:
    """Something about a person: how it is told, acknowledged, asked for, and answered with or without knowing it."""

    name: str
    tells: dict[Language, Sequence[str]]
    acknowledged: dict[Language, str]
    asks: dict[Language, Sequence[str]]
    known: dict[Language, str]
    unknown: dict[Language, str]


TRAITS = {row["name"]: Trait(**row) for row in table("recall")["traits"]}
TOLD_WEIGHTS = {"name": 12, "home": 3, "colors": 2, "foods": 1.5, "animals": 1.5, "dog": 1.5, "cat": 1.5}


def telling(conversation: Conversation) -> Turn:
    """The person tells something about themselves."""
    rng, language = conversation.rng, conversation.language
    trait = TRAITS[rng.choices(list(TOLD_WEIGHTS), list(TOLD_WEIGHTS.values()))[0]]
    pattern, asks = conversation.wording(trait.tells)
    return Turn(
        skill="recall",
        language=language,
        pattern=pattern,
        asks=asks,
        answers=trait.acknowledged[language],
        slots={"x": _value(trait.name, conversation)},
        open_slots=("x",),
        remembers={trait.name: "x"},
        is_plain=True,
    )


def _value(trait: str, conversation: Conversation) -> str:
    rng, language = conversation.rng, conversation.language
    match trait:
        case "name":
            return naming.person(rng, language)
        case "home":
            return naming.city(rng, language)
        case "dog" | "cat":
            return naming.thing(rng, "pets", language)
        case _:
            return naming.thing(rng, trait, language)


def recalling(conversation: Conversation) -> Turn:
    """The person asks for something they told, or, now and then, for something they did not."""
    rng, language = conversation.rng, conversation.language
    told = [name for name in TRAITS if name in conversation.memory]
    name = (
        rng.choice(told)
        if told and rng.random() < 0.85
        else rng.choices(list(TOLD_WEIGHTS), list(TOLD_WEIGHTS.values()))[0]
    )
    trait = TRAITS[name]
    pattern, asks = conversation.wording(trait.asks)
    value = conversation.memory.get(name)
    return Turn(
        skill="recall",
        language=language,
        pattern=pattern,
        asks=asks,
        answers=trait.unknown[language] if value is None else trait.known[language],
        slots={} if value is None else {"x": value},
        open_slots=() if value is None else ("x",),
    )


def repeating(conversation: Conversation) -> Turn:
    """Words to say after the person."""
    pattern, asks = conversation.wording(table("recall")["repeat"])
    return Turn(
        skill="repeating",
        language=conversation.language,
        pattern=pattern,
        asks=asks,
        answers="{=x}",
        slots={"x": naming.phrase(conversation.rng, conversation.language)},
        open_slots=("x",),
        is_plain=True,
    )
