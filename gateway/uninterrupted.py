"""Work that outlives its caller's cancellation: clients hang up on [DONE], and that must not cancel the bill."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def uninterrupted(work: Coroutine[Any, Any, Result]) -> Result:
    """Run the work to its end even if the caller is cancelled meanwhile; only then does the cancellation go on."""
    task = asyncio.ensure_future(work)
    interruption = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as cancelled:
            interruption = cancelled
    if interruption:
        raise interruption
    return task.result()
