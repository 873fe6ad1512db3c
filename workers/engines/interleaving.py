"""The events of several generations as one stream, in the order in which they happen."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from workers.engines.base import Generation, GenerationEvent

Numbered = tuple[int, GenerationEvent]


async def interleave(generations: Sequence[Generation]) -> AsyncGenerator[Numbered, None]:
    """Each event with the number of its generation. The first error ends all of them; so does closing."""
    # Bounded: a slow reader must hold the generations' events back where they are merged, not pile them up here.
    queue: asyncio.Queue[Numbered | BaseException | None] = asyncio.Queue(maxsize=len(generations))
    pumps = [asyncio.create_task(_pump(item, number, queue)) for number, item in enumerate(generations)]
    try:
        num_open = len(pumps)
        while num_open:
            item = await queue.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                num_open -= 1
            else:
                yield item
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(generation: Generation, number: int, queue: asyncio.Queue[Numbered | BaseException | None]) -> None:
    try:
        async for event in generation:
            await queue.put((number, event))
        await queue.put(None)
    except Exception as error:
        await queue.put(error)
