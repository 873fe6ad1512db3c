"""What this machine has, found out without torch: the daemon must stay small, and torch would take GPU memory."""

import asyncio
import importlib.metadata
import os
import platform
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psutil
import pynvml

from protocol.control import Device, Hardware
from workers.programs import Programs

_PATIENCE_S = 3.0
_LIBRARIES = ("torch", "transformers")
_NVML_PERCENT = 100


class HardwareReader:
    """Reads the machine in a thread. A driver that hangs must not silence the worker: the last reading stays.

    `memory_limit_bytes`: of the machine's own memory, what models may hold together.
    """

    def __init__(self, folder: Path, programs: Programs, *, memory_limit_bytes: int | None = None) -> None:
        self._folder = folder
        self._programs = programs
        self._memory_limit_bytes = memory_limit_bytes
        self._reading: asyncio.Task[Hardware] | None = None
        self._latest: Hardware | None = None

    async def read(self) -> Hardware:
        """The machine at this moment, or as it was last; free disk is that of the file system of `folder`."""
        if self._reading is None:
            self._reading = asyncio.create_task(asyncio.to_thread(self._read, with_accelerators=True))
        await asyncio.wait({self._reading}, timeout=_PATIENCE_S)
        if self._reading.done():
            self._latest, self._reading = self._reading.result(), None
        return self._latest or self._read(with_accelerators=False)

    def _read(self, *, with_accelerators: bool) -> Hardware:
        disk = psutil.disk_usage(str(self._folder))
        return Hardware(
            hostname=socket.gethostname(),
            num_cpus=os.cpu_count() or 1,
            devices=[*(_accelerators() if with_accelerators else ()), _cpu_device(self._memory_limit_bytes)],
            disk_free_bytes=disk.free,
            disk_total_bytes=disk.total,
            versions=_versions(),
            engines=self._programs.engines(),
        )


def free_memory(memory_limit_bytes: int | None = None) -> dict[str, int]:
    """Bytes by device: `cpu`, `mps`, `cuda:0`. Blocks for as long as the driver does. The limit: see HardwareReader."""
    num_of_kind: Counter[str] = Counter()
    free = {"cpu": _machine_memory(memory_limit_bytes)[1]}
    for device in _accelerators():
        name = f"cuda:{num_of_kind[device.kind]}" if device.kind == "cuda" else device.kind
        num_of_kind[device.kind] += 1
        free[name] = device.memory_free_bytes
    return free


def memory_of(pid: int) -> int:
    """Bytes of the machine's memory that this process and its children hold; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        return sum(part.memory_info().rss for part in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)[:32]
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _machine_memory(limit_bytes: int | None) -> tuple[int, int]:
    """Total and free bytes, as far as models are concerned: all that this program has started counts as theirs."""
    memory = psutil.virtual_memory()
    if limit_bytes is None:
        return memory.total, memory.available
    held_bytes = sum(memory_of(child.pid) for child in psutil.Process().children())
    return min(memory.total, limit_bytes), max(0, min(memory.available, limit_bytes - held_bytes))


def _cpu_device(memory_limit_bytes: int | None) -> Device:
    total_bytes, free_bytes = _machine_memory(memory_limit_bytes)
    return Device(
        name=platform.processor() or platform.machine(),
        kind="cpu",
        memory_total_bytes=total_bytes,
        memory_free_bytes=free_bytes,
        utilization=psutil.cpu_percent() / 100,
    )


def _accelerators() -> list[Device]:
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return [_apple_device()]
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        # No driver, no GPU.
        return []
    try:
        return list(_nvidia_devices())
    finally:
        pynvml.nvmlShutdown()


def _nvidia_devices() -> Iterator[Device]:
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            yield _nvidia_device(index)
        except pynvml.NVMLError:
            # One card that has fallen off its bus must not hide the others.
            continue


def _nvidia_device(index: int) -> Device:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    total, free = _nvidia_memory(handle)
    return Device(
        name=f"{pynvml.nvmlDeviceGetName(handle)} ({index})",
        kind="cuda",
        memory_total_bytes=total,
        memory_free_bytes=free,
        utilization=_nvidia_utilization(handle),
    )


def _nvidia_memory(handle: object) -> tuple[int, int]:
    """Total and free, in bytes. A GPU without memory of its own shares the machine's."""
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError_NotSupported:
        shared = psutil.virtual_memory()
        return shared.total, shared.available
    return memory.total, memory.free


def _nvidia_utilization(handle: object) -> float | None:
    try:
        return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / _NVML_PERCENT
    except pynvml.NVMLError:
        # A card that is divided by MIG has no such figure.
        return None


def _apple_device() -> Device:
    """The GPU of Apple's processors, which works in the machine's own memory."""
    memory = psutil.virtual_memory()
    return Device(
        name=f"Apple {platform.machine()}",
        kind="mps",
        memory_total_bytes=memory.total,
        memory_free_bytes=memory.available,
    )
