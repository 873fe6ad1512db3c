"""The server under test: a standalone worker as its own process, with its door and its engine's socket."""

import asyncio
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

MODEL, ADAPTER = "soaked", "adapted"
MAX_CONCURRENCY = 8
MAX_OPEN = 5 * MAX_CONCURRENCY
"""Requests that may run or wait at the same time: the engine's own rule, written out so that a change of it shows."""
_KEY = "the-key-of-the-soak"
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What the worker's processes hold."""

    rss_mib: float
    num_descriptors: int
    num_threads: int


@dataclass(frozen=True, slots=True)
class Server:
    """`door`: where callers come in. `engine`: the way that the daemon itself takes, behind the door."""

    door: aiohttp.ClientSession
    engine: aiohttp.ClientSession
    pid: int

    async def stats(self) -> dict[str, Any]:
        async with self.engine.get("/stats") as answer:
            return await answer.json()

    async def cancel(self, request_id: str) -> dict[str, Any] | None:
        """The usage that is told; None where the request is not known."""
        async with self.engine.post(f"/v1/requests/{request_id}/cancel") as answer:
            return (await answer.json())["usage"] if answer.status == 200 else None

    def footprint(self) -> Footprint:
        daemon = psutil.Process(self.pid)
        processes = [daemon, *daemon.children(recursive=True)]
        return Footprint(
            rss_mib=sum(process.memory_info().rss for process in processes) / _MIB,
            num_descriptors=sum(process.num_fds() for process in processes),
            num_threads=sum(process.num_threads() for process in processes),
        )


@asynccontextmanager
async def served(source: Path, log: Path) -> AsyncIterator[Server]:
    """Within: it answers. The cache is so small that long answers take each other's places."""
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    adapter = save_adapter(source, folder / ADAPTER)
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            *_command(source, adapter), stdout=output, stderr=output,
            env=os.environ | {"FLOTILLA_API_KEY": _KEY, "TMPDIR": str(folder)},
        )  # fmt: skip
        try:
            url = await _said(log, r"Listening on (http://\S+)/v1")
            await _said(log, f"{MODEL} is (ready)")
            socket = _socket_in(folder)
            async with _session(url) as door, _session("http://engine", socket) as engine:
                await _has_adapter(door)
                yield Server(door, engine, process.pid)
        finally:
            process.terminate()
            await process.wait()
            shutil.rmtree(folder)


def _command(source: Path, adapter: Path) -> list[str]:
    return [
        sys.executable, "-m", "workers", "--standalone", "--port", "0", "--model", str(source),
        "--served-model-name", MODEL, "--dtype", "float32", "--device", "cpu",
        "--max-concurrency", str(MAX_CONCURRENCY),
        "--engine-options", json.dumps({"kv_cache_gb": 0.03}), "--adapters", json.dumps({ADAPTER: str(adapter)}),
    ]  # fmt: skip


def save_adapter(source: Path, folder: Path) -> Path:
    """A LoRA adapter with random weights in PEFT's format."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(1)
    config = json.loads((source / "config.json").read_text())
    size, heads = config["hidden_size"], config["num_attention_heads"] * config["head_dim"]
    prefix = "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight"
    tensors = {}
    for layer in range(config["num_hidden_layers"]):
        tensors[prefix.format(layer, "A")] = torch.randn(4, size) / size**0.5
        tensors[prefix.format(layer, "B")] = torch.randn(heads, 4) / 4
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    asked = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(asked))
    return folder


def _socket_in(folder: Path) -> Path:
    (socket,) = folder.glob("*/engine.sock")
    return socket


async def _said(log: Path, pattern: str) -> str:
    async with asyncio.timeout(120):
        while True:
            if found := re.search(pattern, await asyncio.to_thread(log.read_text)):
                return found[1]
            await asyncio.sleep(0.1)


async def _has_adapter(door: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(60):
        while True:
            async with door.get("/v1/models") as answer:
                if ADAPTER in [model["id"] for model in (await answer.json())["data"]]:
                    return
            await asyncio.sleep(0.1)


def _session(url: str, socket: Path | None = None) -> aiohttp.ClientSession:
    connector = aiohttp.UnixConnector(path=str(socket), limit=0) if socket else aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(
        url, connector=connector, headers={"Authorization": f"Bearer {_KEY}"}, timeout=aiohttp.ClientTimeout(total=300)
    )
