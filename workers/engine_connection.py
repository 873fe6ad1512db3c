"""The daemon's way to one engine that is ready: one of our own over its Unix socket, a child server over loopback."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from protocol.codec import MalformedMessage, decode
from workers.children.metrics import load_in
from workers.engine_program import ChildAddress
from workers.engines.base import EngineStats
from workers.liveness import PROBE_TIMEOUT_S

_TIMEOUT = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
_ADAPTERS_TIMEOUT = aiohttp.ClientTimeout(total=600)
"""They may come from a hub."""
_MAX_METRICS_BYTES = 4 * 1024 * 1024
_PATHS_OF_CHILDREN = {"/v1/tokenize": "/tokenize"}
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class EngineSilent(Exception):
    """It did not answer in time, or nothing that makes sense."""


class EngineConnection:
    """`session` knows address and key; ask it for paths alone. To be closed."""

    def __init__(self, socket_path: Path, child: ChildAddress | None) -> None:
        self.child = child
        self.session = _child_session(child) if child else _own_session(socket_path)
        self._has_metrics = child is not None

    async def close(self) -> None:
        await self.session.close()

    async def stats(self) -> EngineStats | None:
        """Its load; None if it lives and does not tell. Raises EngineSilent."""
        try:
            return await (self._own_stats() if self.child is None else self._child_stats(self.child))
        except (aiohttp.ClientError, OSError, MalformedMessage) as error:
            raise EngineSilent from error
        except (RuntimeError, AssertionError) as error:
            # So fails what aiohttp was asked in the moment in which its session was closed.
            if self.session.closed:
                raise EngineSilent from error
            raise

    async def use_adapters(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Have one of our own engines use these, name → source; for each what is wrong with it. Raises EngineSilent."""
        try:
            async with self.session.put("/adapters", json=wanted, timeout=_ADAPTERS_TIMEOUT) as answer:
                return decode(dict[str, str], await answer.read())
        except (aiohttp.ClientError, OSError, MalformedMessage, RuntimeError) as error:
            raise EngineSilent from error

    def worded(self, body: bytes) -> bytes:
        """The request as this engine wants it: child servers insist on their own name for the model."""
        if self.child is None:
            return body
        try:
            fields = _FIELDS.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # The engine will say what is wrong with it.
            return body
        return msgspec.json.encode({**fields, "model": self.child.model})

    def path(self, asked: str) -> str:
        """Where it answers that; vLLM has what is none of OpenAI's endpoints at the root."""
        return asked if self.child is None else _PATHS_OF_CHILDREN.get(asked, asked)

    async def _own_stats(self) -> EngineStats:
        async with self.session.get("/stats", timeout=_TIMEOUT) as answer:
            return decode(EngineStats, await answer.read())

    async def _child_stats(self, child: ChildAddress) -> EngineStats | None:
        async with self.session.get(child.health_path, timeout=_TIMEOUT, allow_redirects=False) as answer:
            if answer.status >= 500:
                raise EngineSilent
        if not self._has_metrics:
            return None
        async with self.session.get("/metrics", timeout=_TIMEOUT, allow_redirects=False) as answer:
            self._has_metrics = answer.status == 200
            return load_in(await answer.content.read(_MAX_METRICS_BYTES)) if self._has_metrics else None


def _own_session(socket_path: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        "http://engine", connector=aiohttp.UnixConnector(path=str(socket_path), limit=0), **_plain()
    )


def _child_session(child: ChildAddress) -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {child.api_key}", "Accept-Encoding": "identity"}
    return aiohttp.ClientSession(child.url, connector=aiohttp.TCPConnector(limit=0), headers=headers, **_plain())


def _plain() -> dict[str, Any]:
    return {
        "auto_decompress": False,
        "cookie_jar": aiohttp.DummyCookieJar(),
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=10),
    }
