"""A stream whose request waits for its turn: what its client hears until then."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gateway.errors import GatewayError
from gateway.events import DONE
from gateway.receipt import Receipt
from gateway.uninterrupted import uninterrupted
from gateway.waiting import News

if TYPE_CHECKING:
    from gateway.generation import Generation


class QueuedGeneration:
    """A stream whose request still waits for its turn: comments say how it stands, then comes what a Generation gives.

    To be used as one. What fails after this is told as an error event, since the client has been told 200.
    """

    status, is_stream = 200, True
    receipt: Receipt | None = None
    """Not known yet."""

    def __init__(self, opening: "asyncio.Task[Generation]", news: News, headers: Mapping[str, str]) -> None:
        self._opening = opening
        self.headers = headers
        self._news = news

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await uninterrupted(given_up(self._opening))

    async def _parts(self) -> AsyncIterator[bytes]:
        while not self._opening.done():
            if comment := self._news.comment():
                yield comment
            await self._news.wait_for(self._opening)
        try:
            generation = self._opening.result()
        except GatewayError as error:
            yield error.event() + DONE
            return
        async for part in generation:
            yield part


async def given_up(opening: "asyncio.Task[Generation]") -> None:
    """Its caller has gone, or had all of it. Leaves its record, if there is none yet."""
    opening.cancel()
    await asyncio.wait({opening})
    if not opening.cancelled() and not opening.exception():
        async with opening.result():
            pass
