"""A model hub on loopback, as huggingface_hub (https://huggingface.co/docs/hub/api) and modelscope_hub ask it."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

COMMIT = "c" * 40
_PIECE = 64 * 1024


class FakeHub:
    """Has one model; `refusal` is what it answers instead of that, and `breaks` names the file that it cuts short."""

    def __init__(self, source: str, files: Mapping[str, bytes]) -> None:
        self.source = source
        self.files = dict(files)
        self.refusal: tuple[int, str] | None = None
        self.breaks = ""
        self.sent: Counter[str] = Counter()
        """Bytes, by file."""
        self.gate = asyncio.Event()
        """Until it is set, no file is sent further than its middle."""
        self.gate.set()
        self.url = ""

    @asynccontextmanager
    async def run(self) -> AsyncIterator["FakeHub"]:
        app = web.Application()
        app.router.add_get("/api/models/{owner}/{name}/revision/main", self._info)
        app.router.add_get("/api/models/{owner}/{name}/tree/{commit}", self._tree)
        app.router.add_get("/{owner}/{name}/resolve/{commit}/{path:.+}", self._file)
        app.router.add_get("/api/v1/models/{owner}/{name}/repo/files", self._modelscope_tree)
        app.router.add_get("/api/v1/models/{owner}/{name}/repo", self._file)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self.gate.set()
            await runner.cleanup()

    async def _info(self, request: web.Request) -> web.Response:
        if self.refusal:
            status, code = self.refusal
            return web.json_response({"error": code}, status=status, headers={"X-Error-Code": code})
        if request.path != f"/api/models/{self.source}/revision/main":
            return web.json_response({}, status=404, headers={"X-Error-Code": "RepoNotFound"})
        return web.json_response({"id": self.source, "modelId": self.source, "sha": COMMIT, "siblings": []})

    async def _tree(self, request: web.Request) -> web.Response:
        listed = [
            {"type": "file", "path": path, "size": len(content), "oid": _etag(content)}
            for path, content in self.files.items()
        ]
        return web.json_response(listed)

    async def _modelscope_tree(self, request: web.Request) -> web.Response:
        if self.refusal or request.path != f"/api/v1/models/{self.source}/repo/files":
            status = self.refusal[0] if self.refusal else 404
            return web.json_response({"Code": status, "Message": "refused", "Success": False}, status=status)
        listed = [
            {"Type": "blob", "Path": path, "Size": len(content), "Sha256": hashlib.sha256(content).hexdigest()}
            for path, content in self.files.items()
        ]
        return web.json_response({"Code": 200, "Data": {"Files": listed}, "Success": True})

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info.get("path") or request.query["FilePath"]
        content = self.files[path]
        begin = request.http_range.start or 0
        headers = {"ETag": f'"{_etag(content)}"', "X-Repo-Commit": COMMIT}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        response = web.StreamResponse(status=206 if begin else 200, headers=headers)
        response.content_length = len(content) - begin
        await response.prepare(request)
        if request.method == "GET":
            await self._send(response, path, begin, request)
        return response

    async def _send(self, response: web.StreamResponse, path: str, begin: int, request: web.Request) -> None:
        content = self.files[path]
        for start in range(begin, len(content), _PIECE):
            if start >= len(content) // 2:
                await self.gate.wait()
                if path == self.breaks and request.transport:
                    request.transport.abort()
                    return
            piece = content[start : start + _PIECE]
            await response.write(piece)
            self.sent[path] += len(piece)


def files_of(folder: Path) -> dict[str, bytes]:
    """Of a model that lies there, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _etag(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
