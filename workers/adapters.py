"""The daemon's side of LoRA adapters: an engine is made to use those that are wanted; what becomes of each is told."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from protocol.redaction import redact
from workers.engine_connection import EngineConnection, EngineSilent

_RETRY_S = 60.0
"""After so long one that failed is tried again: its folder may have been mended."""
_LONGEST_ERROR = 500


class Adapters:
    """Of one engine. `on_change` is called at each change that the server should hear of."""

    def __init__(self, wanted: Mapping[str, str], on_change: Callable[[], None]) -> None:
        self.states: dict[str, str] = {}
        """By name: why it cannot be used; empty: it answers. Without those that were not tried yet."""
        self._wanted = dict(wanted)
        self._on_change = on_change
        self._changed = asyncio.Event()

    def want(self, wanted: Mapping[str, str]) -> None:
        """These from now on, name → source; `keep` sees to it."""
        if wanted != self._wanted:
            self._wanted = dict(wanted)
            self._changed.set()

    def forget(self) -> None:
        """The engine has ended, and what it had learnt with it."""
        self.states = {}

    async def keep(self, connection: EngineConnection, *, on_use: Callable[[], None]) -> None:
        """Have the engine that answers there use what is wanted, at each change, until cancelled. `on_use` is called
        when that was tried."""
        while True:
            self._changed.clear()
            is_settled = await self._use(connection, dict(self._wanted))
            on_use()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if is_settled else _RETRY_S):
                    await self._changed.wait()

    async def _use(self, connection: EngineConnection, wanted: dict[str, str]) -> bool:
        """Whether nothing is left to be tried again."""
        if not wanted and not self.states:
            return True
        try:
            found = await connection.use_adapters(wanted)
        except EngineSilent:
            return False
        self.states = {name: redact(error)[:_LONGEST_ERROR] for name, error in found.items()}
        self._on_change()
        return not any(self.states.values())
