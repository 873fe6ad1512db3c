"""How people type: cases, missing or doubled punctuation, slips of the finger, please and thank you."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from workers.demo_model.corpus.turns import SLOT, Language, Turn, fill

FULL_WIDTH = str.maketrans({",": "\uff0c", "?": "\uff1f", "!": "\uff01", ":": "\uff1a", "(": "\uff08", ")": "\uff09"})
BEFORE = {
    "en": (
        "Please ",
        "please: ",
        "Hey, ",
        "Hi, ",
        "Hi! ",
        "Hello! ",
        "ok, ",
        "So, ",
        "Now ",
        "Well, ",
        "Question: ",
        "um, ",
        "I have a question: ",
        "Quick question: ",
        "Please tell me: ",
        "And ",
        "Excuse me, ",
        "Tell me, ",
        "Hey Flotilla, ",
    ),
    "zh": (
        "请问",
        "请问,",
        "你好,",
        "你好!",
        "那么,",
        "请告诉我:",
        "告诉我,",
        "问一下,",
        "我想问,",
        "那",
        "嗨,",
        "我想知道",
    ),
}
AFTER = {
    "en": (" please", ", please", " thanks", ", thank you", " pls"),
    "zh": (",谢谢", "呢", "呀", "啊", " 谢谢"),
}
CONTRACTIONS = {
    "What is": "What's",
    "what is": "what's",
    "I am": "I'm",
    "Who is": "Who's",
    "How is": "How's",
    "do not": "don't",
    "cannot": "can't",
    "It is": "It's",
    "Let us": "Let's",
    "I would": "I'd",
    "You are": "You're",
    "That is": "That's",
}
Case = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Typed:
    """A turn as it was typed: what the person sees, and the slots as they came out."""

    user: str
    assistant: str
    slots: dict[str, str]


def as_typed(turn: Turn, rng: random.Random) -> Typed:
    """The turn in somebody's handwriting; the answer follows what was really typed."""
    case = _case(rng)
    slots = {name: case(value) for name, value in turn.slots.items()}
    template = turn.asks if turn.is_plain else _politely(turn.asks, turn.language, rng)
    template = _punctuated(_slipped(template, rng), turn, rng)
    literal = SLOT.sub(lambda slot: "\0" + slot[2] + "\0", template).split("\0")
    user = "".join(slots[part] if index % 2 else case(part) for index, part in enumerate(literal))
    if rng.random() < 0.1 and not template.startswith("{"):
        user = user[:1].lower() + user[1:]
    return Typed(user=user, assistant=fill(turn.answers, turn.slots, slots), slots=slots)


def _case(rng: random.Random) -> Case:
    return str.lower if rng.random() < 0.2 else str


def _politely(asks: str, language: Language, rng: random.Random) -> str:
    if rng.random() < 0.07:
        before = rng.choice(BEFORE[language])
        asks = before + (asks[:1].lower() + asks[1:] if language == "en" and not asks.startswith("{") else asks)
    if rng.random() < 0.03:
        body, end = _split_end(asks)
        asks = body + rng.choice(AFTER[language]) + end
    return asks


def _slipped(asks: str, rng: random.Random) -> str:
    """Contractions with or without their apostrophe, and now and then one wrong letter outside the slots."""
    if rng.random() < 0.35:
        for long, short in CONTRACTIONS.items():
            asks = asks.replace(long, short if rng.random() < 0.7 else short.replace("'", ""))
    spots = [
        found.start() for found in re.finditer(r"(?<=[a-z])[a-z](?=[a-z ])", SLOT.sub(lambda s: "#" * len(s[0]), asks))
    ]
    if len(spots) > 8 and rng.random() < 0.01:
        spot = rng.choice(spots)
        slip = rng.choice(("", asks[spot] * 2, asks[spot + 1] + asks[spot], rng.choice("aeiourstn")))
        asks = asks[:spot] + slip + asks[spot + (2 if len(slip) == 2 and slip[0] != slip[1] else 1) :]
    return asks


def _punctuated(asks: str, turn: Turn, rng: random.Random) -> str:
    body, end = _split_end(asks)
    draw = rng.random()
    if draw < 0.35:
        end = ""
    elif draw < 0.42 and not turn.is_plain:
        end = rng.choice(("?", "!", "??", "...", " ?", "!!", "?!", "."))
    if turn.language == "zh" and rng.random() < 0.7:
        body, end = body.translate(FULL_WIDTH), end.translate(FULL_WIDTH)
    return " " * (rng.random() < 0.02) + body + end + " " * (rng.random() < 0.03)


def _split_end(asks: str) -> tuple[str, str]:
    body = asks.rstrip("?.!。~ ")
    return (body, asks[len(body) :]) if body else (asks, "")
