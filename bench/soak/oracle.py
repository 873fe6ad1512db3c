"""What is right: for each question, what the server says to it alone, and what follows for every other request."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.soak.answers import Answer, read_answer
from bench.soak.server import ADAPTER, MODEL, Server

REFERENCE_TOKENS = 64
CONTEXT_LENGTH = 2048
_WORDS = ("time", "person", "year", "way", "day", "thing", "man", "world", "life", "hand", "part", "child", "eye")
_SYSTEM = "You are a careful assistant of a small team. Answer shortly, and say when you do not know."


@dataclass(frozen=True, slots=True)
class Question:
    """A request but for its length, its stop strings and how its answer is read."""

    model: str
    messages: tuple[tuple[str, str], ...]
    sampling: tuple[tuple[str, Any], ...]

    def body(self, **options: Any) -> dict[str, Any]:
        messages = [{"role": role, "content": content} for role, content in self.messages]
        return {"model": self.model, "messages": messages, **dict(self.sampling), **options}


@dataclass(frozen=True, slots=True)
class Expected:
    """Of a cut of the reference."""

    text: str
    num_tokens: int
    finish_reason: str


class Oracle:
    """Knows the answers to some questions, and how many tokens a prompt has."""

    def __init__(self, source: Path) -> None:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self._hidden = set(self.tokenizer.all_special_ids)
        self._references: dict[Question, tuple[list[int], str]] = {}

    @property
    def questions(self) -> Sequence[Question]:
        return list(self._references)

    async def learn(self, server: Server) -> list[str]:
        """Ask all questions one after the other. What is wrong with the answers."""
        problems = []
        for question in _questions():
            answer = await ask_alone(server, question)
            self._references[question] = answer.tokens[0], answer.finish_reasons[0]
            problems += self.wrong_counts(answer, question)
        return problems

    def wrong_counts(self, answer: Answer, question: Question) -> Iterator[str]:
        """Against the tokenizer and the tokens that were told."""
        counted = self.num_prompt_tokens(question)
        if answer.usage["prompt_tokens"] != counted:
            yield f"prompt_tokens is {answer.usage['prompt_tokens']}, the tokenizer says {counted}"
        told = sum(map(len, answer.tokens.values()))
        if told and answer.usage["completion_tokens"] != told:
            yield f"completion_tokens is {answer.usage['completion_tokens']}, {told} tokens were told"

    def num_prompt_tokens(self, question: Question) -> int:
        return len(
            self.tokenizer.apply_chat_template(question.body()["messages"], add_generation_prompt=True)["input_ids"]
        )

    def expected(self, question: Question, max_tokens: int, stops: Sequence[str]) -> Expected:
        """With at most REFERENCE_TOKENS tokens."""
        tokens, reason = self._references[question]
        for num_tokens in range(1, min(max_tokens, len(tokens)) + 1) if stops else ():
            text = self.decode(tokens[:num_tokens])
            if found := [at for stop in stops if (at := text.find(stop)) >= 0]:
                return Expected(text[: min(found)], num_tokens, "stop")
        if max_tokens > len(tokens):
            return Expected(self.decode(tokens), len(tokens), reason)
        return Expected(self.decode(tokens[:max_tokens]), max_tokens, "length")

    def text(self, question: Question) -> str:
        return self.decode(self._references[question][0])

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode([token for token in tokens if token not in self._hidden]))


async def ask_alone(server: Server, question: Question) -> Answer:
    """The answer with all that is told of it."""
    body = question.body(
        max_tokens=REFERENCE_TOKENS, stream=True, stream_options={"include_usage": True}, return_token_ids=True
    )
    async with asyncio.timeout(60), server.door.post("/v1/chat/completions", json=body) as response:
        return await read_answer(response)


def _questions() -> Iterator[Question]:
    greedy, endless = {"temperature": 0}, {"temperature": 0, "ignore_eos": True}
    seeded = {"temperature": 0.9, "top_p": 0.95, "seed": 11}
    penalized = {"temperature": 0.7, "top_k": 40, "seed": -5, "presence_penalty": 0.5, "repetition_penalty": 1.1}
    for messages in _chats():
        for model in (MODEL, ADAPTER):
            for sampling in (greedy, endless, seeded, penalized):
                yield Question(model, messages, tuple(sampling.items()))


def _chats() -> Iterator[tuple[tuple[str, str], ...]]:
    """Short, long, with a shared beginning, in other scripts."""
    for text in ("Who are you?", "What is the capital of France?", "Count: three, four", "用中文说你好 🦜", "é" * 40):
        yield (("user", text),)
    for text in ("Name a colour.", "Name a day of the week.", "And the opposite of warm?"):
        yield ("system", _SYSTEM), ("user", text)
    chosen = random.Random(3)
    for num_words in (60, 300, 900):
        yield (("user", " ".join(chosen.choices(_WORDS, k=num_words))),)
    yield ("user", "My name is Grace."), ("assistant", "Nice to meet you, Grace!"), ("user", "What is my name?")
