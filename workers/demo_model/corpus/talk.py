"""Questions that need no slot: small talk, who the model is, and how to work with Flotilla."""

from functools import cache
from typing import Any

from workers.demo_model.corpus.conversation import Conversation, Skill
from workers.demo_model.corpus.turns import Turn, expand, table


def talk(name: str) -> Skill:
    """A skill that draws from one table of intents."""

    def draw(conversation: Conversation) -> Turn:
        intents, weights = _weighted(name)
        intent = conversation.rng.choices(intents, weights)[0]
        wordings = intent[conversation.language]
        # Broad patterns stand for many ways of asking, so they are asked more often than single sentences.
        pattern = conversation.rng.choices(wordings["asks"], [1 + ask.count("|") ** 0.5 for ask in wordings["asks"]])[0]
        return Turn(
            skill=name.replace("_", " "),
            language=conversation.language,
            pattern=pattern,
            asks=expand(pattern, conversation.rng),
            answers=wordings["answer"],
            continues=intent.get("topic", ""),
            is_plain=name == "small_talk",
        )

    return draw


@cache
def _weighted(name: str) -> tuple[list[dict[str, Any]], list[float]]:
    intents = table(name)
    return intents, [intent["weight"] for intent in intents]


def another_joke(conversation: Conversation) -> Turn:
    """Follows the first joke."""
    pattern, asks = conversation.wording(table("follow_ups")["another_joke"])
    answer = table("follow_ups")["second_joke"][conversation.language]
    return Turn(
        skill="small talk", language=conversation.language, pattern=pattern, asks=asks, answers=answer, is_plain=True
    )


def say_again(conversation: Conversation) -> Turn:
    """The last answer once more; it goes through a slot, so that its own braces are left alone."""
    pattern, asks = conversation.wording(table("follow_ups")["say_again"])
    return Turn(
        skill="repeating",
        language=conversation.language,
        pattern=pattern,
        asks=asks,
        answers="{answer}",
        slots={"answer": conversation.last_answer},
        continues=conversation.continues,
        is_plain=True,
    )
