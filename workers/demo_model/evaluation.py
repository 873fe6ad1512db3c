"""The exam: chats that hold something the training never showed, right only if every single answer is exact.

Equally many for each skill and language, however often people ask for either. New are wordings, texts and words of the
lessons' world; what is outside that world is asked as something to refuse.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice, product

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from workers.demo_model.batches import Encoded, encode, pad
from workers.demo_model.corpus.chats import Chat, exams
from workers.demo_model.corpus.held_out import normalised, reason_held_out
from workers.demo_model.corpus.turns import Turn

EXAM_SEED = 2_026
NUM_CHATS_A_SKILL = 30
SKILLS = (
    "small talk",
    "identity",
    "platform",
    "capitals",
    "opposites",
    "colours",
    "animals",
    "days and months",
    "sums",
    "counting",
    "recall",
    "repeating",
    "JSON",
    "tools",
    "refusals",
)
BATCH_SIZE = 32
# Words that people type before any question, and with which some wordings begin anyway.
OPENINGS = ("so ", "and ", "now ", "那", "告诉我", "请问", "我想知道")


@dataclass(frozen=True, slots=True)
class Question:
    """A held-out chat, filed under the skill of its first held-out turn and the reason why that is held out."""

    chat: Chat
    skill: str
    reason: str
    language: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """The first wrong answer of a chat."""

    question: Question
    expected: str
    answered: str


@cache
def exam() -> list[Question]:
    """The same chats for everybody: thirty for each skill, half of them in Chinese, none twice."""
    left = Counter(dict.fromkeys(product(SKILLS, ("en", "zh")), NUM_CHATS_A_SKILL // 2))
    questions = []
    for question in _distinct(exams(EXAM_SEED)):
        kind = (question.skill, question.language)
        if left[kind] > 0:
            left[kind] -= 1
            questions.append(question)
        if not any(left.values()):
            break
    return questions


def _distinct(chats: Iterator[Chat]) -> Iterator[Question]:
    seen = set()
    for chat in chats:
        if (asked := _asked(chat)) not in seen:
            seen.add(asked)
            turn, reason = chat.held_out()[0]
            if not any(map(_may_stand_in_a_lesson, chat.turns, asked)):
                yield Question(chat, turn.skill, reason, turn.language)


def _asked(chat: Chat) -> tuple[str, ...]:
    """What makes a chat itself; chats that differ only in case and punctuation are one."""
    return tuple(normalised(message["content"]) for message in chat.messages if message["role"] == "user")


def _may_stand_in_a_lesson(turn: Turn, typed: str) -> bool:
    """What is held out only without such a first word, or only with it, is typed as the other by chance."""
    return reason_held_out(turn) not in ("", "word") and typed.startswith(OPENINGS)


@torch.inference_mode()
def grade(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, questions: list[Question]) -> list[Wrong]:
    """The chats that were not answered exactly.

    Greedy decoding says exactly the expected answer if, and only if, each of its tokens is the likeliest one after all
    those before it: so one forward pass grades a whole chat.
    """
    wrong = []
    for group in _batched(sorted(questions, key=lambda question: len(str(question.chat.messages)))):
        encoded = [encode(question.chat, tokenizer) for question in group]
        best = model(input_ids=pad(encoded).tokens).logits.argmax(-1).tolist()
        for question, chat, row in zip(group, encoded, best, strict=True):
            if mistake := _first_mistake(chat, row):
                wrong.append(Wrong(question, *_told_apart(chat, row, mistake, tokenizer)))
    return wrong


def _batched(questions: list[Question]) -> Iterator[list[Question]]:
    stream = iter(questions)
    while group := list(islice(stream, BATCH_SIZE)):
        yield group


def _first_mistake(chat: Encoded, best: list[int]) -> int:
    """The place of the first token that greedy decoding would not have said; 0 if there is none."""
    places = range(1, len(chat.tokens))
    return next((place for place in places if chat.said[place] and best[place - 1] != chat.tokens[place]), 0)


def _told_apart(chat: Encoded, best: list[int], place: int, tokenizer: PreTrainedTokenizerFast) -> tuple[str, str]:
    """The expected answer, and the wrong one as far as its first wrong token."""
    begin = end = place
    while chat.said[begin - 1]:
        begin -= 1
    while end < len(chat.tokens) and chat.said[end]:
        end += 1
    return str(tokenizer.decode(chat.tokens[begin:end])), str(
        tokenizer.decode([*chat.tokens[begin:place], best[place - 1]])
    )


def report(questions: list[Question], wrong: list[Wrong]) -> str:
    """A table: exact answers by skill, by language and by the reason why a chat is new."""
    lines = [f"{'held-out chats':<24}{'exact':>8}{'of':>6}{'share':>9}"]
    for kind in ("skill", "language", "reason"):
        asked = Counter(getattr(question, kind) for question in questions)
        missed = Counter(getattr(mistake.question, kind) for mistake in wrong)
        lines += [_line(name, asked[name] - missed[name], asked[name]) for name in asked]
        lines.append("-" * 47)
    return "\n".join([*lines, _line("all", len(questions) - len(wrong), len(questions))])


def _line(name: str, exact: int, asked: int) -> str:
    return f"{name:<24}{exact:>8}{asked:>6}{exact / asked:>9.1%}"


def describe(mistake: Wrong) -> str:
    """One wrong answer, for a person who mends the corpus."""
    asked = [message["content"] for message in mistake.question.chat.messages if message["role"] == "user"]
    lines = (f"[{mistake.question.skill}, {mistake.question.reason}] {asked}", mistake.expected, mistake.answered)
    return "\n   ".join(lines)
