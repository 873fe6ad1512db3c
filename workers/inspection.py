"""The daemon's door for the administrator's questions about this machine; see protocol.inspection."""

import asyncio

from aiohttp import web

from protocol.codec import encode
from protocol.inspection import LOG_PATH, STORE_PATH, LogTail, StoreListing
from workers.errors import ModelInUse, ModelNotStored
from workers.log import LogKeeper
from workers.relay import refusal
from workers.store import ModelStore


class Inspection:
    """To be added to the server's app, which lets in only those who show the gateway's secret."""

    def __init__(self, log: LogKeeper, store: ModelStore) -> None:
        self._log = log
        self._store = store
        self._reading: asyncio.Task[StoreListing] | None = None

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(LOG_PATH, self.log)
        app.router.add_get(STORE_PATH, self.store)
        app.router.add_delete(STORE_PATH, self.delete)

    async def log(self, request: web.Request) -> web.Response:
        return web.Response(body=encode(LogTail(lines=self._log.tail())), content_type="application/json")

    async def store(self, request: web.Request) -> web.Response:
        """A large disk takes its time: whoever asks meanwhile gets the same reading."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(asyncio.to_thread(self._store.read))
        return web.Response(body=encode(await asyncio.shield(self._reading)), content_type="application/json")

    async def delete(self, request: web.Request) -> web.Response:
        try:
            await asyncio.to_thread(self._store.delete, request.query.get("source", ""))
        except ModelNotStored as error:
            return refusal(404, "model_not_stored", str(error))
        except ModelInUse as error:
            return refusal(409, "model_in_use", str(error))
        return web.Response(status=204)
