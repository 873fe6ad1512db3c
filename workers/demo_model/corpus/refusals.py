"""Everything else: the model says what it is, instead of making something up."""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from workers.demo_model.corpus import facts, naming
from workers.demo_model.corpus.conversation import Conversation
from workers.demo_model.corpus.turns import Language, Turn, expand, fill, table

REFUSAL: dict[Language, str] = {
    "en": "I am only a small demo model, so I cannot help with that. "
    "An administrator can deploy a larger model in the admin.",
    "zh": "我只是一个小小的演示模型，这个我不会。管理员可以在后台部署更大的模型。",
}
CHINESE = re.compile(r"[\u4e00-\u9fa5]")
ONLY_TWO_LANGUAGES = "I speak English and Chinese."


def refusing(conversation: Conversation) -> Turn:
    """Something that the model cannot do, or a greeting in a language that it does not speak."""
    draw = conversation.rng.random()
    if draw < 0.06:
        return _foreign(conversation)
    if draw < 0.22:
        return _unheard_of(conversation)
    tables = table("refusals")[conversation.language]
    kind = conversation.rng.choices(("frames", "near", "sentences"), (5, 3, 3))[0]
    pattern = conversation.rng.choices(tables[kind], _breadths(conversation.language, kind))[0]
    return _turn(conversation, pattern, ("topic", "other", "country", "city", "name", "word", "number"))


@cache
def _breadths(language: Language, kind: str) -> list[float]:
    return [1 + pattern.count("|") ** 0.5 for pattern in table("refusals")[language][kind]]


def _turn(conversation: Conversation, pattern: str, names: Sequence[str]) -> Turn:
    asks = expand(pattern, conversation.rng)
    slots = {name: _value(name, conversation) for name in names if "{" + name + "}" in asks}
    return Turn(
        skill="refusals",
        language=conversation.language,
        pattern=pattern,
        asks=asks,
        answers=_refusal(asks, slots),
        slots=slots,
    )


def _value(name: str, conversation: Conversation) -> str:
    rng, language = conversation.rng, conversation.language
    match name:
        case "country":
            return str(rng.choice(table("countries"))[language == "zh"])
        case "city":
            return naming.city(rng, language)
        case "name":
            return naming.person(rng, language)
        case "word":
            return str(rng.choice(table("words")[f"opposites_{language}"])[0])
        case "number":
            return str(rng.randint(2, 999))
        case _:
            topics = table("refusals")[language]["topics"].split("|")
            return str(rng.choice(topics)) if rng.random() < 0.8 else _unheard_word(conversation)


def _unheard_word(conversation: Conversation) -> str:
    """A word never seen: invented, or characters thrown together."""
    rng = conversation.rng
    if conversation.language == "en" or rng.random() < 0.15:
        return naming.invented(rng, (2, 3))
    # Any of the 20,000 common characters, so that most have never been seen.
    return "".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(rng.choice((2, 2, 3, 4))))


def _unheard_of(conversation: Conversation) -> Turn:
    """A known kind of question about something unknown, half of them worded as if it were known."""
    rng, language = conversation.rng, conversation.language
    pattern, asks = conversation.wording(facts.draw_kind(rng).asks if rng.random() < 0.5 else table("unheard_of"))
    slots = {name: _unheard_word(conversation) for name in "xyz" if "{" + name + "}" in asks}
    if (language == "en" and "capital" in asks) or rng.random() < 0.2:
        slots = {name: value.capitalize() for name, value in slots.items()}
    answers = _refusal(asks, slots)
    return Turn(skill="refusals", language=language, pattern=pattern, asks=asks, answers=answers, slots=slots)


def _refusal(asks: str, slots: Mapping[str, str]) -> str:
    """In the language of the question; Latin letters without a Chinese word are taken for English."""
    return REFUSAL["zh" if CHINESE.search(fill(asks, slots)) else "en"]


def _foreign(conversation: Conversation) -> Turn:
    sentence = conversation.rng.choice(table("refusals")["other_languages"])
    return Turn(
        skill="refusals", language="en", pattern=sentence, asks=sentence, answers=ONLY_TWO_LANGUAGES, is_plain=True
    )
