"""What callers do, well-behaved and not. Each visit is one request, and raises Wrong where the server is not right."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bench.soak.answers import Answer, Refused, events, read_answer
from bench.soak.forms import FORMS, TOOLS
from bench.soak.oracle import CONTEXT_LENGTH, REFERENCE_TOKENS, Oracle, Question
from bench.soak.server import Server
from bench.soak.wrongs import WRONGS

LONGEST_VISIT_S = 120.0
_CHAT = "/v1/chat/completions"
_PATIENCE_S = 1.5


class Wrong(Exception):
    """What was not right."""


@dataclass(slots=True)
class Caller:
    """One of many; `chance` is its own."""

    server: Server
    oracle: Oracle
    chance: random.Random
    seen: Counter[str] = field(default_factory=Counter)

    async def visit(self) -> None:
        """Raises Wrong."""
        act = self.chance.choices(ACTS, WEIGHTS)[0]
        try:
            async with asyncio.timeout(LONGEST_VISIT_S):
                await act(self)
            self.seen[act.__name__] += 1
        except Refused as refused:
            self._check_refusal(refused)
        except TimeoutError as error:
            raise Wrong(f"{act.__name__}: not done after {LONGEST_VISIT_S:.0f} s") from error
        except (aiohttp.ClientError, ConnectionError, Wrong) as error:
            raise Wrong(f"{act.__name__}: {type(error).__name__}: {error}") from error

    def _check_refusal(self, refused: Refused) -> None:
        if refused.status != 503 or refused.error.get("code") != "overloaded":
            raise Wrong(f"refused with {refused}")
        if int(refused.headers.get("Retry-After", "0")) < 1:
            raise Wrong("503 without Retry-After")
        self.seen["turned away: full"] += 1

    async def ask(self) -> None:
        """A question whose answer is known, cut at random, read at any pace."""
        question = self.chance.choice(self.oracle.questions)
        is_stream, num_choices = self.chance.random() < 0.6, self.chance.choice((1, 1, 1, 2, 4))
        max_tokens, stops = self.chance.randint(1, REFERENCE_TOKENS), self._stops(question)
        tells_logprobs = self.chance.random() < 0.2
        body = question.body(
            max_tokens=max_tokens, stop=stops or None, n=num_choices, stream=is_stream,
            **({"logprobs": True, "top_logprobs": self.chance.randint(0, 5)} if tells_logprobs else {}),
            **({"stream_options": {"include_usage": True}, "return_token_ids": True} if is_stream else {}),
        )  # fmt: skip
        pause_s = self.chance.choice((0.0, 0.0, 0.02, 0.2))
        async with self.server.door.post(_CHAT, json=body) as response:
            answer = await read_answer(response, pause_s=pause_s)
        self._check(answer, question, max_tokens, stops)
        if len(answer.texts) != num_choices:
            raise Wrong(f"{len(answer.texts)} choices for n={num_choices}")

    def _stops(self, question: Question) -> list[str]:
        """Mostly none; otherwise pieces of what will be said, and what will not."""
        if self.chance.random() < 0.6:
            return []
        text = self.oracle.text(question).replace("\ufffd", "")
        at = self.chance.randrange(max(1, len(text)))
        stops = [text[at : at + self.chance.randint(1, 6)], "never said 🦜"]
        return [stop for stop in stops if stop]

    def _check(self, answer: Answer, question: Question, max_tokens: int, stops: list[str]) -> None:
        expected = self.oracle.expected(question, max_tokens, stops)
        said = answer.texts[0], answer.finish_reasons[0]
        if said != (expected.text, expected.finish_reason):
            raise Wrong(f"{question} max_tokens={max_tokens} {stops=}: said {said}, expected {expected}")
        if answer.usage["prompt_tokens"] != (counted := self.oracle.num_prompt_tokens(question)):
            raise Wrong(f"prompt_tokens is {answer.usage['prompt_tokens']}, the tokenizer says {counted}")
        self._check_completion(answer, question, expected.num_tokens)

    def _check_completion(self, answer: Answer, question: Question, num_tokens: int) -> None:
        """Choices share a count only where all say the same."""
        counted = answer.usage["completion_tokens"]
        is_alike = ("temperature", 0) in question.sampling
        if (is_alike or len(answer.texts) == 1) and counted != num_tokens * len(answer.texts):
            raise Wrong(f"completion_tokens is {counted} for {len(answer.texts)} times {num_tokens}: {question}")
        if counted < num_tokens:
            raise Wrong(f"completion_tokens is {counted}, of one choice alone {num_tokens}")

    async def hang_up(self) -> None:
        """In the middle of a stream, or before its first byte."""
        async with self.server.door.post(_CHAT, json=self._endless(stream=True)) as response:
            if response.status != 200:
                await read_answer(response)
            left = self.chance.randint(0, 60)
            async for _ in events(response):
                left -= 1
                if left < 0:
                    response.close()
                    return

    async def lose_patience(self) -> None:
        """Hang up at a random moment, whatever is on its way."""
        body = self._endless(stream=self.chance.random() < 0.5)
        try:
            async with asyncio.timeout(self.chance.uniform(0, _PATIENCE_S)):
                async with self.server.door.post(_CHAT, json=body) as response:
                    await read_answer(response)
        except TimeoutError:
            return

    async def cancel(self) -> None:
        """By the request's id, as the gateway does; what it had used is told, and does not change afterwards."""
        request_id = f"soak-{self.chance.getrandbits(64):x}"
        asking = asyncio.create_task(self._ask_by_id(request_id))
        await asyncio.sleep(self.chance.uniform(0, _PATIENCE_S))
        told = await self.server.cancel(request_id)
        was_cut = await asking if told is not None else not asking.cancel()
        again = await self.server.cancel(request_id)
        if told is not None and told != again:
            raise Wrong(f"usage was told as {told}, then as {again}")
        self.seen["cancelled in time"] += bool(was_cut)

    async def _ask_by_id(self, request_id: str) -> bool:
        """Whether the answer was cut short. Raises Refused for any other reason."""
        headers = {"X-Request-ID": request_id}
        body = self._endless(stream=self.chance.random() < 0.5)
        try:
            async with self.server.door.post(_CHAT, json=body, headers=headers) as response:
                await read_answer(response)
        except Refused as refused:
            if refused.error.get("code") != "cancelled":
                raise
            return True
        return False

    def _endless(self, **options: Any) -> dict[str, Any]:
        question = self.chance.choice(self.oracle.questions)
        room = CONTEXT_LENGTH - self.oracle.num_prompt_tokens(question)
        max_tokens = min(room, self.chance.choice((100, 400, 900)))
        return question.body() | options | {"max_tokens": max_tokens, "ignore_eos": True}

    async def be_wrong(self) -> None:
        """With something that can never be answered: 400, which names it."""
        path, body, headers = self.chance.choice(WRONGS)(self.chance)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            async with self.server.door.post(path, data=content, headers=headers) as response:
                await read_answer(response)
        except Refused as refused:
            if refused.status != 400:
                raise
            return
        raise Wrong(f"200 for {content[:300]!r}")

    async def want_a_form(self) -> None:
        """JSON by a schema, a regular expression, a choice, a grammar."""
        asked, is_right = self.chance.choice(FORMS)
        body = {**self._sampled(), **asked, "max_tokens": self.chance.choice((20, 100, 200))}
        answer = await self._answer(body)
        for index, reason in answer.finish_reasons.items():
            if reason == "stop" and not is_right(answer.texts[index]):
                raise Wrong(f"{asked} gave {answer.texts[index]!r}")
        self._check_most(answer, body)

    async def want_a_call(self) -> None:
        """Of a tool, of one that is named, or as the model likes."""
        choice = self.chance.choice(("auto", "required", {"type": "function", "function": {"name": "get_weather"}}))
        body = {**self._sampled(), "tools": TOOLS, "tool_choice": choice, "max_tokens": 100}
        answer = await self._answer(body)
        for index, reason in answer.finish_reasons.items():
            calls = answer.calls[index]
            if choice != "auto" and reason != "length" and not calls:
                raise Wrong(f"no call for tool_choice={choice}: {answer.texts[index]!r}")
            for call in calls:
                json.loads(call["arguments"])
        self._check_most(answer, body)

    def _sampled(self) -> dict[str, Any]:
        body = self.chance.choice(self.oracle.questions).body()
        kept = {name: body[name] for name in ("model", "messages")}
        return {**kept, "temperature": self.chance.choice((0, 0.7, 1.5)), "stream": self.chance.random() < 0.5}

    async def _answer(self, body: dict[str, Any], path: str = _CHAT) -> Answer:
        options = {"stream_options": {"include_usage": True}} if body.get("stream") else {}
        async with self.server.door.post(path, json=body | options) as response:
            return await read_answer(response)

    def _check_most(self, answer: Answer, body: dict[str, Any]) -> None:
        counted, most = answer.usage["completion_tokens"], body["max_tokens"] * len(answer.texts)
        is_cut = "length" in answer.finish_reasons.values()
        if counted > most or (is_cut and len(answer.texts) == 1 and counted != most):
            raise Wrong(f"completion_tokens is {counted}; max_tokens is {most}, {answer.finish_reasons}")

    async def complete(self) -> None:
        """Raw prompts, one or several, as text or as ids, told again before the answer or not."""
        texts = self.chance.sample(("Once upon", "你好", "1 2 3 4", "x" * 300), self.chance.randint(1, 3))
        ids = [self.oracle.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        model, max_tokens = self.chance.choice(self.oracle.questions).model, self.chance.randint(1, 40)
        body = {
            "model": model,
            "prompt": self.chance.choice((texts, ids)),
            "max_tokens": max_tokens,
            "ignore_eos": True,
        }
        how: dict[str, Any] = self.chance.choice(({"echo": True}, {"logprobs": 2}, {}))
        answer = await self._answer({**body, **how, "stream": self.chance.random() < 0.5}, "/v1/completions")
        counts = answer.usage["prompt_tokens"], answer.usage["completion_tokens"]
        if counts != (right := (sum(map(len, ids)), max_tokens * len(ids))):
            raise Wrong(f"usage is {counts}, expected {right}")
        if "echo" in how and not all(answer.texts[at].startswith(text) for at, text in enumerate(texts)):
            raise Wrong(f"prompts {texts} were not told again: {dict(answer.texts)}")

    async def embed(self) -> None:
        """Texts of any number and length."""
        texts = [" ".join(["word"] * self.chance.randint(1, 200)) for _ in range(self.chance.randint(1, 20))]
        body = {"model": self.chance.choice(self.oracle.questions).model, "input": texts}
        async with self.server.door.post("/v1/embeddings", json=body) as response:
            if response.status != 200:
                await read_answer(response)
            answer = await response.json()
        counted = sum(map(len, self.oracle.tokenizer(texts)["input_ids"]))
        if (len(answer["data"]), answer["usage"]["prompt_tokens"]) != (len(texts), counted):
            raise Wrong(f"{len(answer['data'])} vectors of {len(texts)}, usage {answer['usage']}, expected {counted}")


Act = Callable[[Caller], Awaitable[None]]

_WEIGHTED: dict[Act, int] = {
    Caller.ask: 40, Caller.hang_up: 10, Caller.lose_patience: 10, Caller.cancel: 10, Caller.be_wrong: 8,
    Caller.want_a_form: 8, Caller.want_a_call: 6, Caller.complete: 6, Caller.embed: 3,
}  # fmt: skip
ACTS, WEIGHTS = list(_WEIGHTED), list(_WEIGHTED.values())
