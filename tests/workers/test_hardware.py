"""What a worker says of its machine."""

import asyncio
import os
import sys
import threading
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from workers import hardware
from workers.hardware import HardwareReader, memory_of
from workers.programs import Programs


class Driver:
    """A driver of NVIDIA's, with one card for each reading of its memory. Stands in for `pynvml`."""

    NVMLError, NVMLError_NotSupported = pynvml.NVMLError, pynvml.NVMLError_NotSupported

    def __init__(self, *memories: object) -> None:
        self.memories = memories
        self.nvmlInit = self.nvmlShutdown = lambda: None
        self.nvmlDeviceGetCount = lambda: len(memories)
        self.nvmlDeviceGetHandleByIndex = lambda index: index
        self.nvmlDeviceGetName = lambda index: "NVIDIA H200"
        self.nvmlDeviceGetUtilizationRates = lambda index: SimpleNamespace(gpu=37)

    def nvmlDeviceGetMemoryInfo(self, index: int) -> object:
        memory = self.memories[index]
        if isinstance(memory, Exception):
            raise memory
        return memory


def gpus(found) -> list:
    return [device for device in found.devices if device.kind == "cuda"]


@pytest.fixture(autouse=True)
def _patience(monkeypatch) -> None:
    """A busy machine is none whose driver hangs."""
    monkeypatch.setattr(hardware, "_PATIENCE_S", 60)


async def test_a_machine_without_a_gpu_has_its_cpu(tmp_path):
    found = await HardwareReader(tmp_path, Programs()).read()
    assert [device.kind for device in found.devices] == ["cpu"]
    assert 0 < found.devices[0].memory_free_bytes <= found.devices[0].memory_total_bytes
    assert 0 <= found.devices[0].utilization <= 1


async def test_the_disk_and_the_versions_are_told(tmp_path):
    found = await HardwareReader(tmp_path, Programs()).read()
    assert 0 < found.disk_free_bytes <= found.disk_total_bytes
    assert {"python", "torch", "transformers"} <= found.versions.keys()


async def test_a_gpu_with_its_memory_and_how_busy_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "pynvml", Driver(SimpleNamespace(total=2**37, free=2**36)))
    (gpu,) = gpus(await HardwareReader(tmp_path, Programs()).read())
    assert (gpu.name, gpu.memory_total_bytes, gpu.utilization) == ("NVIDIA H200 (0)", 2**37, 0.37)


async def test_a_gpu_without_memory_of_its_own_has_the_machine_s(tmp_path, monkeypatch):
    unsupported = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    monkeypatch.setattr(hardware, "pynvml", Driver(unsupported))
    (gpu,) = gpus(await HardwareReader(tmp_path, Programs()).read())
    assert gpu.memory_total_bytes == psutil.virtual_memory().total


async def test_a_broken_card_does_not_hide_the_others(tmp_path, monkeypatch):
    lost = pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
    monkeypatch.setattr(hardware, "pynvml", Driver(lost, SimpleNamespace(total=2, free=1)))
    assert [gpu.name for gpu in gpus(await HardwareReader(tmp_path, Programs()).read())] == ["NVIDIA H200 (1)"]


async def test_a_driver_that_hangs_does_not_silence_the_worker(tmp_path, monkeypatch):
    woken = threading.Event()
    driver = Driver()
    driver.nvmlInit = lambda: woken.wait(60)
    monkeypatch.setattr(hardware, "pynvml", driver)
    monkeypatch.setattr(hardware, "_PATIENCE_S", 0.1)
    reader = HardwareReader(tmp_path, Programs())
    found = [await reader.read() for _ in range(3)]
    assert all(device.kind == "cpu" for machine in found for device in machine.devices)
    assert len(asyncio.all_tasks()) == 2  # this test, and the one reading that hangs
    woken.set()
    await reader.read()


@pytest.mark.parametrize(("pid", "holds"), [(os.getpid(), True), (2**22 + 1, False)], ids=["alive", "gone"])
def test_the_memory_of_a_process(pid, holds):
    assert (memory_of(pid) > 0) is holds


async def test_models_may_be_given_a_part_of_the_memory_and_what_they_hold_is_taken_from_it(tmp_path):
    engine = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    held = memory_of(engine.pid)
    cpu = (await HardwareReader(tmp_path, Programs(), memory_limit_bytes=2**30).read()).devices[-1]
    engine.kill()
    await engine.wait()
    assert held
    assert cpu.memory_total_bytes == 2**30
    assert cpu.memory_free_bytes <= 2**30 - held
