"""A model that lies on a hub is downloaded first: what an engine reads, with its progress told, and with a remedy in
each refusal."""

import asyncio
import shutil
from collections import namedtuple
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from protocol.control import ReplicaPhase
from protocol.engines import MODELSCOPE
from tests.workers.conftest import wait_for
from tests.workers.engines.fake_hub import FakeHub, files_of
from workers.engines.base import EngineSpec
from workers.engines.sources import fetched
from workers.errors import LoadError

WEIGHTS = b"w" * 1_000_000
FILES = {
    "config.json": b"{}",
    "model-00001-of-00002.safetensors": WEIGHTS,
    "model-00002-of-00002.safetensors": b"v" * 1_000_000,
    "tokenizer.json": b"{}" * 100,
}

Told = list[tuple[int, int]]


@pytest.fixture(params=["", MODELSCOPE], ids=["hugging_face", "modelscope"])
def prefix(request: pytest.FixtureRequest) -> str:
    """Of sources: tells which hub."""
    return str(request.param)


@pytest.fixture
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeHub]:
    async with FakeHub("acme/tiny", FILES).run() as hub:
        ask_hub_at(hub.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
        monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
        monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "home"))
        # It would try again for a minute.
        monkeypatch.setattr("modelscope_hub._download.DOWNLOAD_RETRY_TIMES", 0)
        yield hub


def ask_hub_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the environment does; Hugging Face's library reads that once, when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", url)


async def fetch(source: str, told: Told | None = None, **spec: object) -> Path:
    report = (lambda *figures: None) if told is None else lambda *figures: told.append(figures)
    asked = EngineSpec(engine="transformers", source=source, **spec)  # type: ignore[arg-type]
    return Path((await asyncio.to_thread(fetched, asked, report)).source)


@pytest.fixture
def source(prefix: str, hub: FakeHub) -> str:
    return prefix + hub.source


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


async def test_a_model_on_the_hub_becomes_a_folder(hub: FakeHub, source: str) -> None:
    folder = await fetch(source)

    assert names_in(folder) == FILES.keys()
    assert (folder / "model-00001-of-00002.safetensors").read_bytes() == WEIGHTS


async def test_a_download_tells_how_many_bytes_of_all_are_here(hub: FakeHub, source: str) -> None:
    told: Told = []

    await fetch(source, told)

    size = sum(map(len, FILES.values()))
    assert {total for _, total in told} == {size}
    assert told[0][0] == 0
    assert told[-1][0] == size
    assert told == sorted(told)
    assert any(0 < num_bytes < size for num_bytes, _ in told)


async def test_what_other_programs_read_stays_on_the_hub(hub: FakeHub, source: str) -> None:
    hub.files |= {
        "README.md": b"x", "pytorch_model.bin": b"x", "modeling.py": b"x", "onnx/model.onnx": b"x",
        "original/consolidated.safetensors": b"x", "consolidated.safetensors": b"x", "model.fp32.safetensors": b"x",
    }  # fmt: skip

    assert names_in(await fetch(source)) == FILES.keys()


async def test_the_parts_of_a_sentence_model_come_with_it(hub: FakeHub, source: str) -> None:
    parts = {"modules.json": b"[]", "1_Pooling/config.json": b"{}", "2_Dense/model.safetensors": b"x"}
    hub.files |= parts

    assert names_in(await fetch(source)) == FILES.keys() | parts.keys()


async def test_code_comes_only_with_a_model_that_is_trusted(hub: FakeHub, source: str) -> None:
    hub.files |= {"modeling.py": b"x", "pytorch_model.bin": b"x"}

    trusted = await fetch(source, options={"trust_remote_code": True}, may_run_code=True)

    assert names_in(trusted) == FILES.keys() | {"modeling.py"}


async def test_pickles_come_only_where_a_trusted_model_has_nothing_else(hub: FakeHub, source: str) -> None:
    hub.files = {"config.json": b"{}", "pytorch_model.bin": b"x"}

    assert names_in(await fetch(source)) == {"config.json"}
    assert names_in(await fetch(source, options={"trust_remote_code": True}, may_run_code=True)) == hub.files.keys()


async def test_nothing_is_downloaded_for_code_that_this_worker_does_not_allow(hub: FakeHub, source: str) -> None:
    with pytest.raises(LoadError, match="--allow-code"):
        await fetch(source, options={"trust_remote_code": True})

    assert not hub.sent


async def test_what_is_here_is_not_downloaded_again(hub: FakeHub, source: str) -> None:
    await fetch(source)
    hub.sent.clear()
    told: Told = []

    await fetch(source, told)

    assert not hub.sent
    assert not told


async def test_a_download_that_broke_off_goes_on_with_the_files_that_lack(hub: FakeHub, source: str) -> None:
    hub.breaks = "model-00002-of-00002.safetensors"
    with pytest.raises(LoadError, match=r"broke off.*kept for the next try"):
        await fetch(source)
    hub.breaks = ""
    first = hub.sent["model-00001-of-00002.safetensors"]
    told: Told = []

    folder = await fetch(source, told)

    assert names_in(folder) == FILES.keys()
    assert first == hub.sent["model-00001-of-00002.safetensors"] == len(WEIGHTS)
    assert told[0][0] >= len(WEIGHTS)


async def test_a_model_that_is_here_is_loaded_without_the_hub(
    hub: FakeHub, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await fetch(source)
    ask_hub_at("http://127.0.0.1:9", monkeypatch)

    assert await fetch(source) == folder


async def test_a_hub_that_cannot_be_reached_is_named_with_the_remedy(
    hub: FakeHub, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_hub_at("http://127.0.0.1:9", monkeypatch)

    with pytest.raises(LoadError, match=r"127\.0\.0\.1:9 cannot be reached.*into a folder"):
        await fetch(source)


async def test_a_model_that_the_hub_does_not_have_is_refused(hub: FakeHub, prefix: str) -> None:
    with pytest.raises(LoadError, match=r"'acme/other'.*Correct the source"):
        await fetch(f"{prefix}acme/other")


async def test_a_gated_model_is_refused_with_what_to_do(hub: FakeHub, source: str) -> None:
    hub.refusal = (403, "GatedRepo")

    with pytest.raises(LoadError, match=r"its terms.*TOKEN set"):
        await fetch(source)


async def test_what_is_no_hub_id_is_refused(hub: FakeHub) -> None:
    with pytest.raises(LoadError, match=r"neither a folder.*nor a hub id"):
        await fetch("no model..at all")


async def test_a_model_that_does_not_fit_on_the_disk_is_not_begun(
    hub: FakeHub, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 0, 10**6))

    with pytest.raises(LoadError, match=r"needs .* GB more.*Make room"):
        await fetch(source)
    assert not hub.sent


async def test_a_replica_tells_its_download_and_then_loads(
    prefix: str,
    model_folder: Callable[[str], Path],
    start_engine: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FakeHub("acme/tiny", files_of(model_folder("llama"))).run() as hub:
        for name in ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT"):
            monkeypatch.setenv(name, hub.url)
        for name in ("HF_HUB_CACHE", "MODELSCOPE_CACHE", "MODELSCOPE_HOME"):
            monkeypatch.setenv(name, str(tmp_path))
        hub.gate.clear()
        async with start_engine(prefix + hub.source, engine="transformers", device="cpu") as engine:
            await wait_for(lambda: engine.status().download)
            status = engine.status()
            assert status.phase is ReplicaPhase.LOADING
            assert status.download.total_bytes == sum(map(len, hub.files.values()))
            assert status.progress == status.download.num_bytes * 100 // status.download.total_bytes / 100
            hub.gate.set()
            await wait_for(lambda: engine.phase is ReplicaPhase.READY)
            assert engine.status().download is None
