"""Which adapters can be asked for by name, as asyncio sees it: read beside the model's thread, put to use within it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from workers.engines.transformers.adapters import Adapter, Adapters, read_adapter
from workers.errors import LoadError, ModelNotFound

_ASKED_FOR_UNTIL_S = 60.0
"""After so long nobody asks any more for an adapter that was taken away."""


class Roster:
    """Whatever is no adapter's name is the base model's, which may be renamed while it runs. `in_model_thread` runs an
    act there."""

    def __init__(self, adapters: Adapters, in_model_thread: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        self._adapters, self._in_model_thread = adapters, in_model_thread
        self._named: dict[str, Adapter] = {}
        self._wanted: frozenset[str] = frozenset()
        self._gone_at_s: dict[str, float] = {}
        """When those of the last minute were taken away."""

    async def use(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """See Engine.use_adapters. Answers that run keep the adapter that they have."""
        self._gone_at_s = {name: at_s for name, at_s in self._gone_at_s.items() if _is_recent(at_s)}
        self._gone_at_s |= dict.fromkeys(self._wanted - wanted.keys(), time.monotonic())
        self._wanted = frozenset(wanted)
        for name in self._named.keys() - wanted.keys():
            del self._named[name]
        return {name: await self._use(name, source) for name, source in wanted.items()}

    def adapter(self, model: str) -> Adapter | None:
        """The one that goes by this name; None: the base model is meant. Raises ModelNotFound."""
        adapter = self._named.get(model)
        if adapter is None and (model in self._wanted or _is_recent(self._gone_at_s.get(model))):
            # Its caller wants none of the base model's answers instead.
            raise ModelNotFound(f"The adapter {model!r} does not answer here; it may have been taken away.")
        return adapter

    async def _use(self, name: str, source: str) -> str:
        known = self._named.get(name)
        if known and known.source == source:
            return ""
        self._named.pop(name, None)
        try:
            adapter = await asyncio.to_thread(read_adapter, source, self._adapters.model)
            await self._in_model_thread(partial(self._adapters.fit, adapter))
        except LoadError as error:
            return str(error)
        self._named[name] = adapter
        return ""


def _is_recent(at_s: float | None) -> bool:
    return at_s is not None and time.monotonic() - at_s < _ASKED_FOR_UNTIL_S
