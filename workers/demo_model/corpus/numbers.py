"""Small sums, counting, and which number is larger. Everything beyond small numbers is honestly refused."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from workers.demo_model.corpus.conversation import Conversation
from workers.demo_model.corpus.turns import Language, Turn, table

WORDINGS: dict[str, Any] = table("numbers")
MAX_TERM = 20
MAX_FACTOR = 10
SIGNS = {"+": ["+"], "-": ["-"], "*": ["*", "x", "×"], "/": ["/", "÷"]}
WORDS: dict[Language, dict[str, list[str]]] = {
    "en": {
        "+": ["plus", "plus", "and"],
        "-": ["minus", "take away"],
        "*": ["times", "multiplied by"],
        "/": ["divided by"],
    },
    "zh": {"+": ["加"], "-": ["减"], "*": ["乘", "乘以"], "/": ["除以"]},
}
SIDES: dict[Language, dict[int, list[str]]] = {
    "en": {1: ["after"], -1: ["before"]},
    "zh": {
        1: ["之后", "后面", "的下一个数"],
        -1: ["之前", "前面", "的上一个数"],
    },
}
OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b,
}


@dataclass(frozen=True, slots=True)
class Sum:
    """a, b and their result; the result is None where the sum is beyond the model."""

    sign: str
    a: int | str
    b: int | str
    result: int | None


def draw_sum(rng: random.Random) -> Sum:
    """A sum that the model knows; additions of small numbers most often."""
    sign = rng.choices("+-*/", (5, 3, 4, 1.5))[0]
    if sign == "/":
        quotient, b = rng.randint(1, MAX_FACTOR), rng.randint(1, MAX_FACTOR)
        return Sum(sign, quotient * b, b, quotient)
    most = MAX_FACTOR if sign == "*" or rng.random() < 0.6 else MAX_TERM
    a, b = rng.randint(0, most), rng.randint(0, most)
    if sign == "-" and rng.random() < 0.85:
        a, b = max(a, b), min(a, b)
    return Sum(sign, a, b, OPERATIONS[sign](a, b))


def _draw_hard_sum(rng: random.Random) -> Sum:
    sign = rng.choice("+-**/")
    a = rng.choice((rng.randint(21, 99), rng.randint(100, 999), rng.randint(1000, 99999), rng.randint(21, 9999)))
    b = rng.choice((rng.randint(2, 20), rng.randint(21, 99), rng.randint(100, 9999)))
    if sign == "/":
        # Anything over a hundred is beyond the table of divisions, and so is a remainder.
        b = b if a > 100 or a % b else b + 83
    if sign in "+*" and rng.random() < 0.5:
        a, b = b, a
    decimal = rng.random() < 0.15
    return Sum(sign, f"{a}.{rng.randint(1, 9)}" if decimal else a, b, None)


def sums(conversation: Conversation) -> Turn:
    """A sum: one in ten is too hard."""
    hard = conversation.rng.random() < 0.12
    sum_ = _draw_hard_sum(conversation.rng) if hard else draw_sum(conversation.rng)
    return sum_turn(conversation, sum_, WORDINGS["asks"], special=conversation.rng.random() < 0.3)


def another_sum(conversation: Conversation) -> Turn:
    """Follows a sum: a new one, or one step more on the last result."""
    rng = conversation.rng
    last = conversation.continues.removeprefix("sum ")
    if last.isdigit() and int(last) <= MAX_TERM and rng.random() < 0.5:
        b = rng.randint(0, MAX_FACTOR)
        sign = "-" if rng.random() < 0.4 and b <= int(last) else "+"
        return sum_turn(conversation, Sum(sign, int(last), b, OPERATIONS[sign](int(last), b)), WORDINGS["go_on"])
    return sum_turn(conversation, draw_sum(rng), WORDINGS["another_sum"])


def sum_turn(
    conversation: Conversation, sum_: Sum, patterns: dict[Language, Sequence[str]], *, special: bool = False
) -> Turn:
    """The sum in some wording of these patterns, or of its own operation's."""
    rng, language = conversation.rng, conversation.language
    pattern, asks = conversation.wording(WORDINGS["special"][sum_.sign] if special else patterns)
    if sum_.result is None and not special:
        # "12 * 345" is in no language: it is refused in English, so a Chinese refusal needs a Chinese wording.
        pattern, asks = conversation.wording({"en": patterns["en"], "zh": patterns["zh"][:4]})
    sign = rng.choice(SIGNS[sum_.sign])
    word = rng.choice(WORDS[language][sum_.sign])
    spell = rng.random() < 0.3
    slots = {"a": _written(sum_.a, language, spell), "b": _written(sum_.b, language, spell), "sign": sign, "word": word}
    known = f"{sum_.a} {sum_.sign} {sum_.b} = {sum_.result}"
    return Turn(
        skill="sums",
        language=language,
        pattern=pattern,
        asks=asks,
        answers=WORDINGS["too_hard"][language] if sum_.result is None else known,
        slots=slots,
        continues="" if sum_.result is None else f"sum {sum_.result}",
    )


def _written(number: int | str, language: Language, spell: bool) -> str:
    words: list[str] = table("words")["numbers"][language == "zh"]
    return words[number] if spell and isinstance(number, int) and number < len(words) else str(number)


def counting(conversation: Conversation) -> Turn:
    """Counts up to twenty, forwards or back."""
    rng = conversation.rng
    # Down is harder: there is an end to stop at, and fewer people ask for it.
    if rng.random() < 0.45:
        return _count_turn(conversation, WORDINGS["count_down"], -1)
    return _count_turn(conversation, WORDINGS["count"], 1)


def count_on(conversation: Conversation) -> Turn:
    """Follows a counting: "And to 7?"."""
    return _count_turn(conversation, WORDINGS["and_to"], 1)


def _count_turn(conversation: Conversation, patterns: dict[Language, Sequence[str]], step: int) -> Turn:
    rng, language = conversation.rng, conversation.language
    pattern, asks = conversation.wording(patterns)
    low = rng.randint(0, 14) if "{m}" in asks and ("{n}" in asks or step > 0) else 1
    high = rng.randint(max(low + 1, 2), MAX_TERM)
    start, end = (low, high) if step > 0 else (high, low)
    spell = rng.random() < 0.25
    slots = {"m": _written(start, language, spell), "n": _written(end, language, spell)}
    numbers = ", ".join(str(number) for number in range(start, end + step, step))
    return Turn(
        skill="counting",
        language=language,
        pattern=pattern,
        asks=asks,
        answers=numbers,
        slots={name: value for name, value in slots.items() if "{" + name + "}" in asks},
        continues="count",
    )


def neighbours(conversation: Conversation) -> Turn:
    """The number after or before another."""
    rng, language = conversation.rng, conversation.language
    pattern, asks = conversation.wording(WORDINGS["next"])
    step, a = rng.choice((1, -1)), rng.randint(1, 30)
    slots = {"a": _written(a, language, rng.random() < 0.2), "side": rng.choice(SIDES[language][step])}
    return Turn(skill="counting", language=language, pattern=pattern, asks=asks, answers=str(a + step), slots=slots)


def larger(conversation: Conversation) -> Turn:
    """The larger of two numbers."""
    rng, language = conversation.rng, conversation.language
    pattern, asks = conversation.wording(WORDINGS["larger"])
    a, b = rng.sample(range(0, rng.choice((10, 20, 100)) + 1), 2)
    slots = {"a": str(a), "b": str(b)}
    return Turn(
        skill="sums", language=language, pattern=pattern, asks=asks, answers=f"{max(a, b)} > {min(a, b)}", slots=slots
    )
