"""Many callers at a time, in a thread of their own, each with its own connection."""

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.gateway.conftest import HELLO, LiveGateway

BODY = {"model": "fake-1", "messages": HELLO}


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What one caller got."""

    status: int
    headers: dict[str, str]
    text: str


class Crowd:
    """Close it, or leave it as a context: whoever still waits hangs up."""

    def __init__(self, gateway: LiveGateway) -> None:
        self._url = f"{gateway.url}/chat/completions"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._session: aiohttp.ClientSession = self._run(self._open())

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def ask(self, key: str, **more: Any) -> "Asked":
        """Ask, and do not wait for the answer."""
        return Asked(asyncio.run_coroutine_threadsafe(self._ask(key, BODY | more), self._loop))

    async def _ask(self, key: str, body: dict[str, Any]) -> Heard:
        headers = {"Authorization": f"Bearer {key}"}
        async with self._session.post(self._url, json=body, headers=headers) as answer:
            return Heard(status=answer.status, headers=dict(answer.headers), text=await answer.text())

    async def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=120))

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._session.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


class Asked:
    """A question on its way."""

    def __init__(self, future: Any) -> None:
        self._future = future

    @property
    def is_answered(self) -> bool:
        return self._future.done()

    def heard(self) -> Heard:
        return self._future.result(60)

    def hang_up(self) -> None:
        self._future.cancel()
