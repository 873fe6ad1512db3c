"""What a worker tells of itself when the server asks: its log without secrets, its models on disk."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from protocol.codec import decode
from protocol.control import DesiredReplica
from protocol.inspection import LOG_PATH, MAX_LOG_BYTES, MAX_LOG_LINES, STORE_PATH, LogTail, StoreListing
from protocol.tokens import TokenKind, make_token
from tests.workers.conftest import PATIENCE_S, SECRET, wait_for
from workers.inspection import Inspection
from workers.log import LogKeeper
from workers.server import WorkerServer
from workers.store import ModelStore

COMMIT = "a" * 40


@pytest.fixture
def keeper() -> LogKeeper:
    return LogKeeper()


def logged(keeper: LogKeeper, *lines: str) -> list[str]:
    for line in lines:
        keeper.handle(logging.LogRecord("x", logging.INFO, "f", 1, line, None, None))
    return keeper.tail()


@pytest.fixture
def cache(tmp_path: Path) -> Callable[[str, int], None]:
    """`cache("org/model", 10)`: a model of so many bytes, as the hub's library leaves it."""

    def add(source: str, num_bytes: int) -> None:
        repo = tmp_path / f"models--{source.replace('/', '--')}"
        snapshot = repo / "snapshots" / COMMIT
        for folder in (snapshot, repo / "blobs", repo / "refs"):
            folder.mkdir(parents=True)
        (repo / "blobs" / "b").write_bytes(b"x" * num_bytes)
        (snapshot / "model.safetensors").symlink_to(repo / "blobs" / "b")
        (repo / "refs" / "main").write_text(COMMIT)

    return add


def replica(source: str, **fields: Any) -> DesiredReplica:
    return DesiredReplica(replica_id="r1", model="m", engine="transformers", source=source, **fields)


@asynccontextmanager
async def asking(
    keeper: LogKeeper, *replicas: DesiredReplica, cache_dir: Path = Path("/nowhere")
) -> AsyncIterator[Callable[..., Any]]:
    """`ask("GET", LOG_PATH)`: status and body."""
    app = WorkerServer({}, lambda: SECRET).make_app()
    Inspection(keeper, ModelStore(lambda: list(replicas), cache_dir, cache_dir / "modelscope")).add_to(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def ask(method: str, path: str, secret: str = SECRET, **query: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {secret}"}
        async with http.request(method, url + path, params=query, headers=headers) as answer:
            return answer.status, await answer.read()

    async with aiohttp.ClientSession() as http:
        yield ask
    await runner.cleanup()


def test_only_the_last_lines_are_kept(keeper):
    tail = logged(keeper, *(str(number) for number in range(MAX_LOG_LINES + 5)))
    assert (len(tail), tail[0], tail[-1]) == (MAX_LOG_LINES, "5", str(MAX_LOG_LINES + 4))


def test_the_tail_is_bounded_in_bytes_too(keeper):
    tail = logged(keeper, *["é" * 5000] * 200)
    assert sum(len(line.encode()) + 1 for line in tail) <= MAX_LOG_BYTES
    assert set(tail) == {"é" * 1000}


async def test_the_log_is_told_to_who_shows_the_secret(keeper):
    logged(keeper, "Loading echo-1 ...", "a traceback\nof two lines")
    async with asking(keeper) as ask:
        status, body = await ask("GET", LOG_PATH)
        refused, _ = await ask("GET", LOG_PATH, secret="guessed")
    assert decode(LogTail, body).lines == ["Loading echo-1 ...", "a traceback", "of two lines"]
    assert (status, refused) == (200, 401)


async def test_why_an_engine_failed_is_told_without_secrets(start_engine):
    token = make_token(TokenKind.API_KEY)
    async with start_engine(f"crash={token}") as engine:
        await wait_for(lambda: engine.status().error)
        assert token not in engine.status().error


async def test_the_models_on_disk_are_told_with_their_size_and_use(keeper, cache, tmp_path):
    cache("org/small", 10)
    cache("org/large", 2000)
    own = tmp_path / "own.gguf"
    own.write_bytes(b"x" * 300)
    async with asking(keeper, replica("org/small"), replica(str(own)), cache_dir=tmp_path) as ask:
        _, body = await ask("GET", STORE_PATH)
    found = [(one.source, one.num_bytes, one.is_downloaded, one.is_in_use) for one in decode(StoreListing, body).models]
    assert found == [("org/large", 2000, True, False), (str(own), 300, False, True), ("org/small", 10, True, True)]


async def test_a_model_that_is_not_used_is_deleted(keeper, cache, tmp_path):
    cache("org/small", 10)
    async with asking(keeper, cache_dir=tmp_path) as ask:
        status, _ = await ask("DELETE", STORE_PATH, source="org/small")
        _, body = await ask("GET", STORE_PATH)
    assert (status, decode(StoreListing, body).models) == (204, [])


@pytest.mark.parametrize(
    "used", [replica("org/small"), replica("x", engine_options={"lora": "org/small"})], ids=["itself", "by an option"]
)
async def test_a_model_that_is_used_is_not_deleted(keeper, cache, tmp_path, used):
    cache("org/small", 10)
    async with asking(keeper, used, cache_dir=tmp_path) as ask:
        assert (await ask("DELETE", STORE_PATH, source="org/small"))[0] == 409
        assert len(decode(StoreListing, (await ask("GET", STORE_PATH))[1]).models) == 1


MODELSCOPE_LAYOUTS = {
    "models/org--v1.5": "snapshots/master/weights",
    "models/org/v1___5": ".msc",
    "hub/models/org/v1___5": ".mdl",
    "hub/org/v1___5": "configuration.json",
}


@pytest.mark.parametrize(("folder", "file"), MODELSCOPE_LAYOUTS.items())
async def test_what_was_downloaded_from_modelscope_is_told_and_deleted(keeper, tmp_path, folder, file):
    path = tmp_path / "modelscope" / folder / file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 300)
    (path.parent / "link").symlink_to(path)
    async with asking(keeper, cache_dir=tmp_path) as ask:
        _, before = await ask("GET", STORE_PATH)
        status, _ = await ask("DELETE", STORE_PATH, source="org/v1.5")
    (found,) = decode(StoreListing, before).models
    assert (found.source, found.num_bytes, found.is_downloaded, found.is_in_use) == ("org/v1.5", 300, True, False)
    assert (status, (tmp_path / "modelscope" / folder).exists()) == (204, False)


async def test_a_model_that_both_hubs_gave_is_told_once_and_deleted_from_both(keeper, cache, tmp_path):
    cache("org/small", 10)
    folder = tmp_path / "modelscope" / "models" / "org--small"
    (folder / "snapshots").mkdir(parents=True)
    (folder / "snapshots" / "weights").write_bytes(b"x" * 5)
    async with asking(keeper, cache_dir=tmp_path) as ask:
        (found,) = decode(StoreListing, (await ask("GET", STORE_PATH))[1]).models
        await ask("DELETE", STORE_PATH, source="org/small")
        assert (found.num_bytes, decode(StoreListing, (await ask("GET", STORE_PATH))[1]).models) == (15, [])


async def test_a_modelscope_model_that_a_replica_loads_by_its_path_is_not_deleted(keeper, tmp_path):
    folder = tmp_path / "modelscope" / "models" / "org" / "small"
    folder.mkdir(parents=True)
    (folder / ".msc").touch()
    async with asking(keeper, replica(str(folder)), cache_dir=tmp_path) as ask:
        assert (await ask("DELETE", STORE_PATH, source="org/small"))[0] == 409
    assert folder.exists()


async def test_a_modelscope_model_that_a_replica_loads_by_its_id_is_not_deleted(keeper, tmp_path):
    folder = tmp_path / "modelscope" / "models" / "org--small"
    (folder / "snapshots").mkdir(parents=True)
    async with asking(keeper, replica("modelscope:org/small"), cache_dir=tmp_path) as ask:
        assert (await ask("DELETE", STORE_PATH, source="org/small"))[0] == 409
    assert folder.exists()


async def test_a_folder_that_no_hub_made_is_neither_told_nor_deleted(keeper, tmp_path):
    mine = tmp_path / "modelscope" / "photographs" / "summer"
    mine.mkdir(parents=True)
    (mine / "sea.jpg").touch()
    async with asking(keeper, cache_dir=tmp_path) as ask:
        assert decode(StoreListing, (await ask("GET", STORE_PATH))[1]).models == []
        assert (await ask("DELETE", STORE_PATH, source="photographs/summer"))[0] == 404


@pytest.mark.parametrize("source", ["", "..", "/etc", "org/../../etc", "org/none"])
async def test_nothing_but_what_was_downloaded_can_be_deleted(keeper, cache, tmp_path, source):
    cache("org/small", 10)
    async with asking(keeper, cache_dir=tmp_path) as ask:
        assert (await ask("DELETE", STORE_PATH, source=source))[0] == 404


async def test_who_asks_while_the_disk_is_read_gets_the_same_reading(keeper, monkeypatch):
    asked, readings, may_end = [], [], threading.Event()
    store, read = Inspection.store, ModelStore.read

    async def noted_store(self, request):
        asked.append(request)
        return await store(self, request)

    def slow_read(self):
        readings.append(1)
        may_end.wait(PATIENCE_S)
        return read(self)

    monkeypatch.setattr(Inspection, "store", noted_store)
    monkeypatch.setattr(ModelStore, "read", slow_read)
    async with asking(keeper) as ask:
        answers = asyncio.gather(*(ask("GET", STORE_PATH) for _ in range(5)))
        await wait_for(lambda: len(asked) == 5)
        may_end.set()
        await answers
    assert len(readings) == 1
