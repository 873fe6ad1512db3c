"""The standalone door: OpenAI's endpoints for whoever has the key, answered by the one engine there is."""

import msgspec
from aiohttp import web

from protocol.endpoints import CAPABILITIES
from workers.engine_process import EngineProcess
from workers.metrics import exposition
from workers.relay import MAX_BODY_BYTES, guarded, not_open, refusal, serve, shows


class _Named(msgspec.Struct):
    """The one field that this door reads itself."""

    model: str


class StandaloneServer:
    """`api_key`: what opens all but /health. The model goes by its replica's name."""

    def __init__(self, engine: EngineProcess, api_key: str) -> None:
        self._engine, self._api_key = engine, api_key

    def make_app(self) -> web.Application:
        """Run it with handler_cancellation, or a caller that hangs up would not reach the engine."""
        guard = guarded(
            self._may_enter,
            code="invalid_api_key",
            message="Incorrect API key provided. Send the key of this server as Authorization: Bearer KEY.",
        )
        app = web.Application(middlewares=[guard], client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/health", self.health)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/v1/models/{model:.+}", self.model)
        for endpoint in CAPABILITIES:
            app.router.add_post(f"/v1/{endpoint}", self.generate)
        return app

    async def health(self, request: web.Request) -> web.StreamResponse:
        """200 as soon as requests are answered."""
        return web.json_response({"status": "ok"}) if self._engine.is_open else not_open(self._engine)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        await self._engine.refresh_stats()
        page, content_type = exposition([self._engine], request.headers.get("Accept", ""))
        return web.Response(body=page, headers={"Content-Type": content_type})

    async def models(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": [self._card(name) for name in self._names()]})

    async def model(self, request: web.Request) -> web.StreamResponse:
        asked = request.match_info["model"]
        return web.json_response(self._card(asked)) if asked in self._names() else self._unknown(asked)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = msgspec.json.decode(await request.read(), type=_Named).model
        except (msgspec.DecodeError, UnicodeDecodeError):
            # The engine says what is wrong with it.
            asked = self._engine.replica.model
        return await serve(request, self._engine) if asked in self._names() else self._unknown(asked)

    def _names(self) -> list[str]:
        """What callers may write: the model, then its adapters that answer."""
        adapters = [name for name, error in self._engine.adapters.states.items() if not error]
        return [self._engine.replica.model, *adapters]

    def _may_enter(self, request: web.Request) -> bool:
        return request.path == "/health" or shows(request, self._api_key)

    def _card(self, name: str) -> dict[str, object]:
        info = self._engine.status().info
        card = {"id": name, "object": "model", "created": 0, "owned_by": "flotilla"}
        return card | ({"max_model_len": info.context_length} if info else {})

    def _unknown(self, asked: str) -> web.Response:
        return refusal(
            404, "model_not_found", f"The model {asked!r} does not exist; this server has {', '.join(self._names())}."
        )
