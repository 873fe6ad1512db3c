"""For load balancers and the like, without a key: GET /health, whether this process lives; GET /ready, whether it can
serve, with what is amiss. Before Django, whose check of the host name would turn away those who call by address."""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from channels.db import database_sync_to_async
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from gateway import runtime

logger = logging.getLogger(__name__)

PATHS = ("/health", "/ready")
_TIMEOUT_S = 2.0


class Probes:
    """An ASGI application for both."""

    def __init__(self) -> None:
        self._has_migrated = False

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _send(send, 405, {"status": "error", "error": "Only GET is answered here."})
        elif scope["path"] == "/health":
            await _send(send, 200, {"status": "ok"})
        else:
            parts = await self._parts()
            is_ready = all(parts.values())
            await _send(send, 200 if is_ready else 503, {"status": "ok" if is_ready else "not ready", **parts})

    async def _parts(self) -> dict[str, bool]:
        return {**await self._database(), "snapshot": runtime.current().poller.has_read}

    async def _database(self) -> dict[str, bool]:
        """Whether it answers in time, and whether its tables are those of this version."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                # Tables do not go back, so they are looked at until they are right.
                self._has_migrated = await database_sync_to_async(_answers)(looks_closely=not self._has_migrated)
        except Exception as error:
            logger.warning("This process is not ready: the database does not answer: %r", error)
            return {"database": False, "migrations": self._has_migrated}
        return {"database": True, "migrations": self._has_migrated}


def _answers(*, looks_closely: bool) -> bool:
    """Whether every migration has been applied; True where that is known already. Raises what the database raises."""
    if not looks_closely:
        connection.cursor().execute("SELECT 1")
        return True
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


async def _send(send: Any, status: int, told: Mapping[str, Any]) -> None:
    body = json.dumps(told).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
