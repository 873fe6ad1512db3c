"""Which turns the model may never learn from, decided by hashes so that training and evaluation cannot disagree.

A turn is held out for one of four reasons: its whole (narrow) family of wordings is, its wording is whatever fills its
slots, its very text is, or a word that it must copy (a name, a city) is. A sentence that stands alone, without
alternatives or slots, is held out only for such a word: nothing else in the lessons would tell what it asks for.
Case and punctuation count for nothing here: people vary them at will, so a question that differs in nothing else is
not new.
"""

import re
from hashlib import blake2b

from workers.demo_model.corpus.turns import Turn, fill

# Shares in 1/1000.
HELD_OUT_SHARES = {"family": 30, "wording": 30, "text": 50, "word": 50}
# A broad family is how most people ask: the shipped model must learn it, so only wordings of it are held out.
MAX_ALTERNATIVES = 6
CONTRACTIONS = {
    "'s": " is",
    "'m": " am",
    "'d": " would",
    "n't": " not",
    "whats": "what is",
    "hows": "how is",
    "whos": "who is",
}


def reason_held_out(turn: Turn) -> str:
    """The first reason why training may not see this turn, or an empty string."""
    return next((kind for kind, value in _identities(turn) if _is_chosen(kind, value)), "")


def normalised(text: str) -> str:
    """The text without case, punctuation and contractions: what remains the same however it is typed."""
    text = text.lower()
    for short, long in CONTRACTIONS.items():
        text = text.replace(short, long)
    return re.sub(r"[^\w{}+*/×÷-]+", " ", text).strip().removesuffix(" please")


def _identities(turn: Turn) -> list[tuple[str, str]]:
    identities = [("word", turn.slots[name].lower()) for name in turn.open_slots]
    if not ("|" in turn.pattern or "{" in turn.asks):
        return identities
    if turn.pattern.count("|") <= MAX_ALTERNATIVES:
        identities.append(("family", turn.pattern))
    identities.append(("wording", normalised(turn.asks)))
    if "{" in turn.asks:
        identities.append(("text", normalised(fill(turn.asks, turn.slots))))
    return identities


def _is_chosen(kind: str, value: str) -> bool:
    digest = blake2b(f"{kind} {value}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % 1000 < HELD_OUT_SHARES[kind]
