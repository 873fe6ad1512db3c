"""Five hundred people read an answer at the same time: all get theirs whole, from one web process that stays small."""

import asyncio
import json
from dataclasses import dataclass

import aiohttp
import psutil
import pytest

from fleet.models import LanguageModel
from gateway.models import UsageRecord, UsageState
from tests.journeys.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

NUM_STREAMS = 500
WORDS = "one two three four five six seven eight nine ten"
MEMORY_OF_A_STREAM = 128 * 1024


@dataclass(slots=True)
class Footprint:
    """The web process at one moment."""

    memory_bytes: int
    num_threads: int

    @classmethod
    def of(cls, pid: int) -> "Footprint":
        process = psutil.Process(pid)
        return cls(process.memory_info().rss, process.num_threads())


class Crowd:
    """Readers who begin together; `together` holds when each of them has read the first word and none the last."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._headers = f"{url}/v1/chat/completions", {"Authorization": f"Bearer {key}"}
        self._num_reading = 0
        self.together = asyncio.Event()

    async def read(self, num: int) -> list[str]:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers=self._headers, connector=connector, timeout=timeout) as session:
            return await asyncio.gather(*(self._answer(session, num) for _ in range(num)))

    async def _answer(self, session: aiohttp.ClientSession, num: int) -> str:
        body = {"model": "echo", "messages": [{"role": "user", "content": WORDS}], "stream": True}
        words: list[str] = []
        async with session.post(self._url, json=body) as answer:
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                if word := _word(line):
                    self._num_reading += not words
                    words.append(word)
                if self._num_reading == num:
                    self.together.set()
        return "".join(words)


def _word(line: bytes) -> str:
    if not line.startswith(b"data: {"):
        return ""
    chunk = json.loads(line[6:])
    assert "error" not in chunk, chunk
    return str(chunk["choices"][0]["delta"].get("content") or "") if chunk["choices"] else ""


async def read_together(web, key: str, num: int) -> tuple[list[str], Footprint]:
    """All answers, and the web process in the middle of it."""
    crowd = Crowd(web.url, key)
    reading = asyncio.ensure_future(crowd.read(num))
    together = asyncio.ensure_future(crowd.together.wait())
    await asyncio.wait({reading, together}, return_when=asyncio.FIRST_COMPLETED)
    footprint = Footprint.of(web.pid)
    together.cancel()
    return await reading, footprint


def test_five_hundred_streams_at_a_time(web, start_worker, deploy, wait_ready, key):
    start_worker()
    deployment = deploy("echo", source="delay=1", max_concurrency=NUM_STREAMS)
    LanguageModel.objects.update(max_concurrency=NUM_STREAMS)
    wait_ready(deployment)
    asyncio.run(read_together(web, key, 10))
    alone = Footprint.of(web.pid)

    first, in_the_first_crowd = asyncio.run(read_together(web, key, NUM_STREAMS))
    second, in_the_second_crowd = asyncio.run(read_together(web, key, NUM_STREAMS))

    assert first == second == [WORDS] * NUM_STREAMS
    assert in_the_first_crowd.num_threads <= alone.num_threads + 2
    assert in_the_first_crowd.memory_bytes - alone.memory_bytes < NUM_STREAMS * MEMORY_OF_A_STREAM
    assert in_the_second_crowd.memory_bytes < in_the_first_crowd.memory_bytes * 1.1
    complete = UsageRecord.objects.filter(state=UsageState.COMPLETE, completion_tokens=10)
    wait_until(lambda: complete.count() == 2 * NUM_STREAMS + 10, what="each stream is on record once")
