"""The daemon's door for the gateway: OpenAI's endpoints, passed on byte by byte to the engine that is named.

Each request carries the gateway's secret and, in `X-Flotilla-Replica`, the replica it is meant for. Answers carry that
replica's load in `X-Flotilla-Running` and `X-Flotilla-Waiting`.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from aiohttp import web

from protocol.endpoints import CAPABILITIES
from workers.engine_process import EngineProcess
from workers.metrics import exposition
from workers.relay import MAX_BODY_BYTES, guarded, not_open, pass_on, refusal, serve, shows

REPLICA_HEADER = "X-Flotilla-Replica"


class WorkerServer:
    """`engines` by replica id; `secret` gives what the gateway must show, empty before this machine has joined.

    `metrics_token`: what opens /metrics, and nothing else; empty: only the gateway's secret does.
    """

    def __init__(
        self, engines: Mapping[str, EngineProcess], secret: Callable[[], str], *, metrics_token: str = ""
    ) -> None:
        self._engines = engines
        self._secret = secret
        self._metrics_token = metrics_token
        self._running: dict[str, asyncio.Task[object]] = {}
        """Requests by their ids: those that child servers work on, and those that wait for their engine, end so."""

    def make_app(self) -> web.Application:
        """Run it with handler_cancellation, or a gateway that hangs up would not reach the engine."""
        guard = guarded(
            self._may_enter, code="invalid_gateway_secret", message="This worker answers to its gateway only."
        )
        app = web.Application(middlewares=[guard], client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/health", self.health)
        app.router.add_get("/metrics", self.metrics)
        for endpoint in CAPABILITIES:
            app.router.add_post(f"/v1/{endpoint}", self.generate)
        app.router.add_post("/v1/requests/{request_id}/cancel", self.cancel)
        return app

    async def health(self, request: web.Request) -> web.StreamResponse:
        """Of the daemon; of a replica, too, if the request names one."""
        if REPLICA_HEADER in request.headers:
            engine = self._named_engine(request)
            if engine is None:
                return _not_found()
            if not engine.is_open:
                return not_open(engine)
        return web.json_response({"status": "ok"})

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        await asyncio.gather(*(engine.refresh_stats() for engine in self._engines.values()))
        page, content_type = exposition(self._engines.values(), request.headers.get("Accept", ""))
        return web.Response(body=page, headers={"Content-Type": content_type})

    async def generate(self, request: web.Request) -> web.StreamResponse:
        engine = self._named_engine(request)
        if engine is None:
            return _not_found()
        with self._cuttable(request):
            return await serve(request, engine)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        engine = self._named_engine(request)
        if engine is None:
            return _not_found()
        if engine.is_child or engine.connection is None:
            return self._cut(request.match_info["request_id"])
        return await pass_on(request, engine)

    @contextmanager
    def _cuttable(self, request: web.Request) -> Iterator[None]:
        request_id, task = request.headers.get("X-Request-ID", ""), asyncio.current_task()
        assert task is not None
        self._running[request_id] = task
        try:
            yield
        finally:
            self._running.pop(request_id, None)

    def _cut(self, request_id: str) -> web.Response:
        """Child servers stop when the connection is closed, and do not tell what was used: there is nothing to say."""
        if task := self._running.get(request_id):
            task.cancel()
        return refusal(404, "usage_unknown", "This engine does not tell what a request had used that was stopped.")

    def _may_enter(self, request: web.Request) -> bool:
        # Health is told to everybody; but to a gateway that means another worker it is not this one's health.
        is_for_all = request.path == "/health" and "Authorization" not in request.headers
        may_read = request.path == "/metrics" and shows(request, self._metrics_token)
        return is_for_all or may_read or shows(request, self._secret())

    def _named_engine(self, request: web.Request) -> EngineProcess | None:
        return self._engines.get(request.headers.get(REPLICA_HEADER, ""))


def _not_found() -> web.Response:
    return refusal(404, "replica_not_found", f"This worker has no such replica; name one in {REPLICA_HEADER}.")
