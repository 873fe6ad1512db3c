"""Answers as JSON, for those who try structured output."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.demo_model.corpus import facts, naming, numbers
from workers.demo_model.corpus.conversation import Conversation
from workers.demo_model.corpus.turns import Language, Turn, expand, table

WORDINGS: dict[str, Any] = table("json_answers")
# What a system prompt says when every answer must be JSON; the questions then come without a wrapping.
SYSTEM_PROMPTS: dict[Language, list[str]] = WORDINGS["system_prompts"]
MAX_COUNTED = 12


@dataclass(frozen=True, slots=True)
class Core:
    """A question without the words that ask for JSON: a pattern to expand, and its answer."""

    pattern: str
    answer: str
    slots: dict[str, str] = field(default_factory=dict)
    open_slots: tuple[str, ...] = ()


def json_answer(conversation: Conversation) -> Turn:
    """A question that asks for JSON itself, or a person's name and age to extract."""
    if conversation.rng.random() < 0.2:
        return _extraction(conversation)
    return _phrase(conversation) if conversation.rng.random() < 0.45 else _question(conversation)


def under_json_prompt(conversation: Conversation) -> Turn:
    """A plain question in a chat whose system prompt asked for JSON."""
    core = _draw(conversation, QUESTIONS)
    return _turn(conversation, core.pattern, expand(core.pattern, conversation.rng), core)


def _phrase(conversation: Conversation) -> Turn:
    """ "Give me the capital of France as JSON"."""
    wrapping, wrapped = conversation.wording(WORDINGS["phrase_wrappings"])
    core = _draw(conversation, PHRASES)
    asks = wrapped.replace("{q}", expand(core.pattern, conversation.rng))
    return _turn(conversation, wrapping, asks[:1].upper() + asks[1:], core)


def _question(conversation: Conversation) -> Turn:
    """ "What is the capital of France? Answer as JSON."."""
    wrapping, wrapped = conversation.wording(WORDINGS["wrappings"])
    core = _draw(conversation, QUESTIONS)
    return _turn(conversation, wrapping, wrapped.replace("{q}", expand(core.pattern, conversation.rng)), core)


def _extraction(conversation: Conversation) -> Turn:
    pattern, asks = conversation.wording(WORDINGS["extract"])
    age = str(conversation.rng.randint(1, 99))
    slots = {"x": naming.person(conversation.rng, conversation.language), "n": age}
    return _turn(conversation, pattern, asks, Core(asks, '{"name": "{=x}", "age": {n}}', slots, ("x",)))


def _turn(conversation: Conversation, pattern: str, asks: str, core: Core) -> Turn:
    return Turn(
        skill="JSON",
        language=conversation.language,
        pattern=pattern,
        asks=asks,
        answers=core.answer,
        slots=core.slots,
        open_slots=core.open_slots,
        is_plain=True,
    )


def _draw(conversation: Conversation, makers: Sequence[tuple[float, Callable[[Conversation], Core]]]) -> Core:
    draw = conversation.rng.random()
    return next(make for limit, make in makers if draw < limit)(conversation)


def _small_talk(conversation: Conversation) -> Core:
    asks, answer = conversation.rng.choice(WORDINGS["plain"][conversation.language])
    return Core(asks, json.dumps(answer, ensure_ascii=False))


def _asked_sum(conversation: Conversation) -> Core:
    return _sum(conversation, numbers.WORDINGS["asks"][conversation.language][2])


def _named_sum(conversation: Conversation) -> Core:
    return _sum(conversation, "{a} {sign} {b}" if conversation.language == "en" else "{a}{word}{b}")


def _sum(conversation: Conversation, pattern: str) -> Core:
    sum_ = numbers.draw_sum(conversation.rng)
    word, sign = numbers.WORDS[conversation.language][sum_.sign][0], numbers.SIGNS[sum_.sign][0]
    slots = {"a": str(sum_.a), "b": str(sum_.b), "sign": sign, "word": word}
    return Core(pattern, json.dumps({"result": sum_.result}), slots)


def _unknown(conversation: Conversation) -> Core:
    rng, language = conversation.rng, conversation.language
    words = [naming.invented(rng, (2, 3)), naming.person(rng, language)]
    topics: list[str] = table("refusals")[language]["topics"].split("|")
    slots = {"t": rng.choice([*words, *rng.sample(topics, 6)])}
    return Core(rng.choice(WORDINGS["unknown"][language]), '{"error": "I am only a small demo model."}', slots)


def _asked_count(conversation: Conversation) -> Core:
    english = "[Count|Count from 1|Please count] to {n}."
    return _count(conversation, english if conversation.language == "en" else "[从1数到|数到]{n}。")


def _named_count(conversation: Conversation) -> Core:
    english = "the numbers [from 1 |1 ]to {n}"
    return _count(conversation, english if conversation.language == "en" else "1到{n}的数字")


def _count(conversation: Conversation, pattern: str) -> Core:
    high = conversation.rng.randint(2, MAX_COUNTED)
    return Core(pattern, json.dumps({"numbers": list(range(1, high + 1))}), {"n": str(high)})


def _asked_fact(conversation: Conversation) -> Core:
    kind = facts.draw_kind(conversation.rng)
    pattern = conversation.rng.choice(kind.asks[conversation.language])
    return Core(pattern, f'{{"{kind.key}": "{{y}}"}}', facts.slots_of(kind, conversation))


def _named_fact(conversation: Conversation) -> Core:
    kind = facts.draw_kind(conversation.rng)
    pattern = kind.noun_phrases[conversation.language]
    return Core(pattern, f'{{"{kind.key}": "{{y}}"}}', facts.slots_of(kind, conversation))


def _name_of_model(conversation: Conversation) -> Core:
    english = "[your name|the name of the model|the model's name]"
    return Core(english if conversation.language == "en" else "[你的名字|模型的名字]", '{"name": "flotilla-demo"}')


def _name_of_person(conversation: Conversation) -> Core:
    """The name told earlier; who has told none asks for numbers instead."""
    if "name" not in conversation.memory:
        return _named_count(conversation)
    asks = conversation.rng.choice(WORDINGS["my_name"][conversation.language])
    return Core(asks, '{"name": "{x}"}', {"x": conversation.memory["name"]}, ("x",))


# Upper limits of a draw between 0 and 1.
QUESTIONS = [(0.2, _small_talk), (0.35, _asked_sum), (0.5, _unknown), (0.6, _asked_count), (1.0, _asked_fact)]
PHRASES = [(0.2, _named_sum), (0.35, _name_of_model), (0.45, _name_of_person), (0.55, _named_count), (1.0, _named_fact)]
