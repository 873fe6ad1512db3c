"""A child server's model is said to see where it does: by its configuration, or by what llama-server tells."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from workers.children.eyes import has_eyes
from workers.children.launch import Ground, Launch
from workers.children.readiness import ready_child
from workers.engines.base import EngineSpec


def spec(source: str, **options: Any) -> EngineSpec:
    return EngineSpec(engine="vllm", source=source, model="m", options=options)


def write_config(folder: Path, **fields: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llava", **fields}))
    return folder


def test_a_folder_is_judged_by_its_configuration(tmp_path: Path) -> None:
    assert has_eyes(spec(str(write_config(tmp_path / "sees", vision_config={}))))
    assert not has_eyes(spec(str(write_config(tmp_path / "blind"))))
    assert not has_eyes(spec(str(tmp_path)))


def test_a_hub_id_is_judged_by_what_was_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--org--sees"
    write_config(repo / "snapshots" / "abc", vision_config={})
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("abc")
    assert has_eyes(spec("org/sees"))
    assert has_eyes(spec("org/sees", revision="abc"))
    assert not has_eyes(spec("org/blind"))
    assert not has_eyes(spec("no/id/at all"))


@pytest.fixture
async def child() -> AsyncIterator[Callable[[bool], Awaitable[Ground]]]:
    """A server that says of itself whether it sees."""
    servers: list[TestServer] = []

    async def start(sees: bool) -> Ground:
        props = {"default_generation_settings": {"n_ctx": 512}, "modalities": {"vision": sees, "audio": False}}
        said = {"/health": {}, "/v1/models": {"data": [{"id": "m"}]}, "/props": props}

        async def say(request: web.Request) -> web.Response:
            return web.json_response(said[request.path])

        app = web.Application()
        app.add_routes([web.get(path, say) for path in said])
        servers.append(TestServer(app, host="127.0.0.1"))
        await servers[-1].start_server()
        return Ground(port=int(servers[-1].port or 0), api_key="key")

    yield start
    for server in servers:
        await server.close()


@pytest.mark.parametrize(("sees", "capabilities"), [(True, ["chat", "vision"]), (False, ["chat"])])
async def test_llama_server_tells_it_itself(child, sees: bool, capabilities: list[str]) -> None:
    launch = Launch(arguments=[], capabilities=["chat"], shows_images=True)
    info, _ = await ready_child(spec("/models/m.gguf"), launch, await child(sees))
    assert (info.capabilities, info.context_length) == (capabilities, 512)


async def test_a_server_that_is_not_asked_for_images_does_not_offer_to_see(child) -> None:
    info, _ = await ready_child(spec("m"), Launch(arguments=[], capabilities=["embeddings"]), await child(True))
    assert info.capabilities == ["embeddings"]
