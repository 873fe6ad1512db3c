"""How a streaming client is told that it waits for its turn: in comments, which clients of event streams skip.

    : queue position=3 wait=4s

Telling means answering 200 before it is known how the request will end, so whatever goes wrong afterwards is told as an
error event. Who gets a place within a second hears nothing of a queue, and an honest status.
"""

import asyncio
import math
import re
from typing import Any

from gateway.admission import Standing

_COMMENT = re.compile(rb"^: queue position=(\d+)(?: wait=(\d+)s)?\n\n$")


class News:
    """The latest of a request's standing; what nobody has read is replaced."""

    def __init__(self) -> None:
        self._standing: Standing | None = None
        self._has_come: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell(self, standing: Standing) -> None:
        self._standing = standing
        if not self._has_come.done():
            self._has_come.set_result(None)

    async def wait_for(self, work: "asyncio.Task[Any]") -> None:
        """Until there is news, or the work is done."""
        await asyncio.wait({work, self._has_come}, return_when=asyncio.FIRST_COMPLETED)

    def comment(self) -> bytes:
        """What there is to tell since the last time; empty if nothing."""
        standing, self._standing = self._standing, None
        if self._has_come.done():
            self._has_come = asyncio.get_running_loop().create_future()
        return worded(standing) if standing else b""


def worded(standing: Standing) -> bytes:
    wait = "" if standing.wait_s is None else f" wait={math.ceil(standing.wait_s)}s"
    return f": queue position={standing.position}{wait}\n\n".encode()


def standing_in(event: bytes) -> Standing | None:
    """The standing that an event tells of; None for any other event."""
    if match := _COMMENT.match(event):
        return Standing(position=int(match[1]), wait_s=float(match[2]) if match[2] else None)
    return None
