"""A server of a provider's API, in a thread of its own until closed."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

KEY = "prov-key-0123456789"


class Refusal(Exception):
    """What the server says instead of an answer."""

    def __init__(self, status: int, payload: Any, **headers: str) -> None:
        super().__init__(status)
        self.response = web.json_response(payload, status=status, headers=headers)


class ProviderServer:
    """Subclasses give the routes. It says what it was asked, and raises `fault`, if it is given one."""

    def __init__(self) -> None:
        self.key = KEY
        self.fault: Callable[[], Exception | None] = lambda: None
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.left = threading.Event()
        """A client has hung up on us."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._run(self._start())

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    def close(self) -> None:
        """May be called twice."""
        if self._loop.is_closed():
            return
        self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _guarded(self, request: web.Request, handler: Callable[..., Awaitable[web.StreamResponse]]):
        self.headers.append(dict(request.headers))
        try:
            if fault := self.fault():
                raise fault
            with suppress(ConnectionError):
                return await handler(request)
        except Refusal as refusal:
            return refusal.response
        except asyncio.CancelledError:
            self.left.set()
            raise
        return web.Response()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self) -> int:
        @web.middleware
        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            return await self._guarded(request, handler)

        app = web.Application(middlewares=[guard])
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return site._server.sockets[0].getsockname()[1]
