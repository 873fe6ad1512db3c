"""What the demo model is taught, and what is kept from it."""

import random
import re
from collections.abc import Iterator
from itertools import chain, islice, pairwise, product

import pytest

from workers.demo_model.corpus import numbers
from workers.demo_model.corpus.chats import Chat, compose, copying_lessons, exams, lessons
from workers.demo_model.corpus.conversation import Conversation
from workers.demo_model.corpus.held_out import normalised, reason_held_out
from workers.demo_model.corpus.refusals import refusing
from workers.demo_model.corpus.turns import Turn, expand, fill, table
from workers.demo_model.evaluation import NUM_CHATS_A_SKILL, SKILLS, exam

pytestmark = pytest.mark.xdist_group("demo model")
"""The exam takes half a minute to draw: one process draws it for all."""


def taught(num_chats: int) -> Iterator[Chat]:
    return chain(islice(lessons(seed=1), num_chats), islice(copying_lessons(seed=1), num_chats))


def typed(chat: Chat) -> list[str]:
    """What the person typed, one text a turn, without what does not make a question new."""
    return [normalised(message["content"]) for message in chat.messages if message["role"] == "user"]


def test_no_held_out_question_is_ever_a_lesson() -> None:
    asked = {
        text
        for question in exam()
        for text, turn in zip(typed(question.chat), question.chat.turns, strict=True)
        # "What is my name?" is asked in lessons too; there, the name is what is new.
        if reason_held_out(turn) not in ("", "word")
    }

    lessons_hold = {text for chat in taught(20_000) for text in typed(chat)}

    assert len(asked) > 300
    assert not asked & lessons_hold


def test_names_kept_for_the_exam_are_never_taught() -> None:
    kept = {
        turn.slots["x"].lower()
        for chat in islice(exams(seed=5), 2_000)
        for turn, reason in chat.held_out()
        if turn.skill == "recall" and reason == "word"
    }

    lessons_hold = {
        turn.slots.get("x", "").lower() for chat in taught(20_000) for turn in chat.turns if turn.open_slots
    }

    assert len(kept) > 50
    assert not kept & lessons_hold


def test_the_exam_asks_for_every_skill_in_both_languages() -> None:
    questions = exam()

    assert len(questions) == NUM_CHATS_A_SKILL * len(SKILLS) >= 300
    assert {question.skill for question in questions} == set(SKILLS)
    assert min(sum(question.language == language for question in questions) for language in ("en", "zh")) > 200


def test_the_exam_asks_in_chats_of_several_turns_too() -> None:
    assert sum(len(question.chat.turns) > 1 for question in exam()) > 100


def test_the_same_seed_gives_the_same_lessons() -> None:
    first, second = (list(islice(lessons(seed=3), 50)) for _ in range(2))

    assert [chat.messages for chat in first] == [chat.messages for chat in second]


def test_every_chat_alternates_and_every_answer_has_its_slots_filled() -> None:
    rng = random.Random(11)

    for chat in (compose(rng) for _ in range(3_000)):
        assert chat.messages[-1]["role"] in ("assistant", "user")
        assert all("{x}" not in str(message) and "{=" not in str(message) for message in chat.messages)


def test_a_pattern_expands_to_one_of_its_alternatives() -> None:
    seen = {expand("[Hi|Hello][|, [you|friend]]!", random.Random(seed)) for seed in range(99)}

    assert seen == {f"{word}{rest}!" for word in ("Hi", "Hello") for rest in ("", ", you", ", friend")}


def test_counting_ends_where_it_was_told_to() -> None:
    rng = random.Random(4)

    for language, _ in product(("en", "zh"), range(500)):
        turn = numbers.counting(Conversation(rng=rng, language=language))
        told = [_number(value) for name, value in turn.slots.items() if name in "mn"]
        counted = [int(number) for number in turn.answers.split(", ")]
        assert set(told) <= {counted[0], counted[-1]}
        assert {abs(one - next_one) for one, next_one in pairwise(counted)} == {1}


def _number(written: str) -> int:
    english, chinese = table("words")["numbers"]
    return int(written) if written.isdigit() else (english if written in english else chinese).index(written)


def test_what_holds_no_chinese_is_never_refused_in_chinese() -> None:
    rng = random.Random(6)
    turns = [refusing(Conversation(rng=rng, language="zh")) for _ in range(3_000)]

    in_latin = [turn for turn in turns if not re.search(r"[\u4e00-\u9fa5]", fill(turn.asks, turn.slots))]

    assert in_latin
    assert all(turn.answers.isascii() for turn in in_latin)


def test_a_turn_without_slots_can_only_be_held_out_by_its_wording() -> None:
    turn = Turn(skill="identity", language="en", pattern="Who are you?", asks="Who are you?", answers="A demo.")

    assert reason_held_out(turn) == ""


def test_an_exam_chat_ends_with_a_question_that_is_new() -> None:
    for chat in islice(exams(seed=8), 200):
        assert reason_held_out(chat.turns[-1])
        assert sum(message["role"] == "user" for message in chat.messages) == len(chat.turns)
