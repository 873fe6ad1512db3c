"""Answers of OpenAI's API as they come, plain or as a stream, in one form."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp


class Refused(Exception):
    """Any status but 200, or an error within a stream."""

    def __init__(self, status: int, error: dict[str, Any], headers: dict[str, str]) -> None:
        super().__init__(f"{status}: {error.get('message')}")
        self.status, self.error, self.headers = status, error, headers


@dataclass(slots=True)
class Answer:
    """Of each choice its parts; of all of them together the usage."""

    usage: dict[str, Any] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=lambda: defaultdict(str))
    tokens: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    finish_reasons: dict[int, str] = field(default_factory=dict)
    num_logprobs: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    calls: dict[int, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, body: dict[str, Any]) -> None:
        """A plain answer, or a chunk of a stream."""
        self.usage = body.get("usage") or self.usage
        for choice in body["choices"]:
            self._add_choice(choice["index"], choice)

    def _add_choice(self, index: int, choice: dict[str, Any]) -> None:
        said = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
        self.texts[index] += said.get("content") or ""
        self.tokens[index] += choice.get("token_ids") or []
        self.calls[index] += [call["function"] for call in said.get("tool_calls") or ()]
        self.num_logprobs[index] += _num_logprobs(choice.get("logprobs") or {})
        if choice["finish_reason"]:
            self.finish_reasons[index] = choice["finish_reason"]


def _num_logprobs(told: dict[str, Any]) -> int:
    return len(told.get("content") or told.get("token_logprobs") or ())


async def read_answer(response: aiohttp.ClientResponse, *, pause_s: float = 0.0) -> Answer:
    """All of it. `pause_s`: how long the reader sleeps after each event. Raises Refused."""
    if response.status != 200:
        raise Refused(response.status, (await response.json())["error"], dict(response.headers))
    answer = Answer()
    if response.content_type == "text/event-stream":
        async for body in events(response):
            answer.add(body)
            if pause_s:
                await asyncio.sleep(pause_s)
    else:
        answer.add(await response.json())
    return answer


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The bodies of a stream. Raises Refused for an error; ConnectionError where its end is missing."""
    async for line in response.content:
        if line == b"data: [DONE]\n":
            return
        if line.startswith(b"data: "):
            body = json.loads(line[6:])
            if "error" in body:
                raise Refused(200, body["error"], {})
            yield body
    raise ConnectionError("The stream has ended without [DONE].")
