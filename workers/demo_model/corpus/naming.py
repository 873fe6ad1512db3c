"""Names, places and words to copy: known ones and, for a third, ones that nobody has ever heard of."""

import random
from typing import Any

from workers.demo_model.corpus.turns import Language, table

ONSETS = [*"b br c ch cl d dr f fl g gr h j k kr l m n p pr qu r s sh st t th tr v w x y z".split(), "", ""]  # noqa: SIM905
VOWELS = ["a", "e", "i", "o", "u", "a", "e", "o", "ai", "ea", "ee", "ie", "ou", "oo", "y"]
ACCENTS = str.maketrans("aeiou", "áéíóü")
CODAS = ["", "", "", "n", "r", "l", "s", "m", "t", "nd", "rk", "x", "ck", "ng", "lf", "th", "b", "d", "v"]
# The block of common Chinese characters in Unicode order would be mostly rare ones; these sit in names and titles.
RARE_CHINESE = "珊瑕铮翎锦琪沐彦昱江娅蓉楷睿霖鸣穹雯靖勋焕宇昕玥豪霸鹤霄韵香骁鼎斌蔓青芸"


def _people(name: str) -> Any:
    return table("words_of_people")[name]


def invented(rng: random.Random, num_syllables: tuple[int, int] = (1, 3)) -> str:
    """A word that is in no language, in lower case."""
    count = rng.randint(*num_syllables)
    word = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(count))
    if rng.random() < 0.03:
        vowel = rng.choice("aeiou")
        word = word.replace(vowel, vowel.translate(ACCENTS), 1)
    return word if len(word) > 2 else word + rng.choice("rnslt") + rng.choice("aeio")


def person(rng: random.Random, language: Language) -> str:
    """A person's name; four in ten of the Latin ones are invented, and Chinese speakers have Latin names at times."""
    if language == "zh" and rng.random() < 0.75:
        return _chinese_person(rng)
    first = rng.choice(_people("names_en")) if rng.random() < 0.6 else invented(rng, (1, 2)).capitalize()
    if rng.random() < 0.1:
        last = rng.choice(_people("surnames_en")) if rng.random() < 0.5 else invented(rng, (1, 2)).capitalize()
        return f"{first} {last}"
    return first


def _chinese_person(rng: random.Random) -> str:
    if rng.random() < 0.25:
        return str(rng.choice(_people("nicknames_zh")))
    given = _people("given_zh") + RARE_CHINESE
    return str(rng.choice(_people("surnames_zh"))) + "".join(rng.choice(given) for _ in range(rng.choice((1, 2, 2))))


def city(rng: random.Random, language: Language) -> str:
    """A city to copy: known, invented, or with its state or country behind it."""
    if language == "zh":
        return _chinese_city(rng)
    name = rng.choice(_people("cities_en")) if rng.random() < 0.65 else invented(rng, (2, 2)).capitalize()
    if rng.random() < 0.05:
        name = (
            rng.choice(("San ", "New ", "Saint ", "Port ", "North ", "El ", "Bad "))
            + invented(rng, (2, 2)).capitalize()
        )
    if rng.random() < 0.04:
        name += ", " + rng.choice(
            ("CA", "NY", "MA", "TX", "France", "Germany", "Japan", "UK", "WA", "Canada", "Italy", "China")
        )
    return name


def _chinese_city(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.65:
        return str(rng.choice(_people("cities_zh")))
    if draw < 0.77:
        return str(rng.choice(_people("cities_en")))
    letters = _people("given_zh") + _people("surnames_zh") + RARE_CHINESE
    return "".join(rng.choice(letters) for _ in range(rng.choice((2, 2, 3)))) + rng.choice(("", "", "市", "县", "镇"))


def thing(rng: random.Random, kind: str, language: Language) -> str:
    """A favourite colour, food or animal, a job, or a pet's name."""
    if kind == "pets" and language == "zh":
        return str(rng.choice(_people("nicknames_zh")))
    if rng.random() < (0.5 if kind == "pets" else 0.15) and language == "en" and kind != "jobs":
        word = invented(rng)
        return word.capitalize() if kind == "pets" else word
    return str(rng.choice(_people(f"{kind}_{language}")))


def phrase(rng: random.Random, language: Language) -> str:
    """Some words to repeat."""
    if language == "zh" and rng.random() < 0.8:
        return "".join(rng.choice(_people("phrases_zh")) for _ in range(rng.choice((1, 1, 1, 2))))
    words = [
        rng.choice(_people("words_en")) if rng.random() < 0.88 else invented(rng, (1, 2))
        for _ in range(rng.randint(1, 4))
    ]
    text = " ".join(words)
    return text.capitalize() if rng.random() < 0.4 else text
