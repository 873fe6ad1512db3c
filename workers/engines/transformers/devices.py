"""Where a model runs, in which number format, and with how many threads."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from accelerate.utils import get_max_memory

from workers.engines.base import EngineSpec
from workers.errors import LoadError

DeviceMap = str | dict[str, str]
"""As accelerate takes it: "auto", or {"": device} for everything on one device."""

MaxMemory = dict[int | str, int]
"""As accelerate takes it: bytes of each GPU, by its number, and of the machine, by "cpu"."""

SMALL_MODEL_PARAMETERS = 100_000_000
"""Below this bf16 saves too little memory to be worth its rounding on a CPU."""

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_NUM_TIMED_FORWARDS = 3
_NUM_TURNS = 6
"""A wrong number of threads costs a small model half of its speed, for as long as it is loaded."""
_WEIGHTS_SHARE = 0.9
"""Of what is free, as transformers has it where nothing is asked for."""
_GIB = 1024**3
_CACHE_SHARE_OF_GPU, _CACHE_SHARE_OF_MACHINE = 0.8, 0.5


def choose_device_map(device: str) -> DeviceMap:
    """accelerate's device map for a spec's device. Raises LoadError for one that this machine does not have."""
    if device == "auto":
        # "auto" spreads a model over all GPUs, and over the CPU when they are too small.
        return "auto" if torch.cuda.is_available() else {"": "mps" if torch.backends.mps.is_available() else "cpu"}
    if device not in (devices := _devices()):
        raise LoadError(f"This worker has no device {device!r}. Choose auto, or one that it has: {', '.join(devices)}.")
    return {"": device}


def choose_max_memory(spec: EngineSpec, device_map: DeviceMap) -> MaxMemory | None:
    """What weights may take where they are spread over GPUs; None for as much as there is. Raises LoadError."""
    asked_gb = spec.options.get("max_memory_gb")
    if asked_gb is None:
        return None
    if asked_gb <= 0:
        raise LoadError(f"The option max_memory_gb is {asked_gb}; it must be more than 0.")
    if spec.device != "auto":
        raise LoadError(
            "The option max_memory_gb is for models that are spread over GPUs. Set the device to auto, or leave it out."
        )
    # Where there is no GPU, there is nothing to spread over.
    return capped(get_max_memory(), asked_gb) if device_map == "auto" else None


def capped(free: Mapping[int | str, int], max_memory_gb: float) -> MaxMemory:
    """What weights may take of devices that have so much free: of each GPU not more than that."""
    room = {device: int(num_bytes * _WEIGHTS_SHARE) for device, num_bytes in free.items()}
    cap = int(max_memory_gb * _GIB)
    return {device: min(size, cap) if isinstance(device, int) else size for device, size in room.items()}


def _devices() -> list[str]:
    """All that this machine has, by torch's names."""
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["cpu", *(["cuda", *gpus] if gpus else []), *(["mps"] if torch.backends.mps.is_available() else [])]


def choose_dtype(name: str, device_map: DeviceMap, num_parameters: Callable[[], int]) -> torch.dtype:
    """The number format of the weights. Raises LoadError.

    "auto": bf16 on GPUs that have it, else fp16; on a CPU fp32, or bf16 for a large model on a CPU that has it.
    """
    is_cpu = device_map == {"": "cpu"}
    if name == "auto":
        return _cpu_dtype(num_parameters) if is_cpu else _gpu_dtype(device_map)
    if name not in _DTYPES:
        raise LoadError(f"There is no dtype {name!r}; choose auto, {', '.join(_DTYPES)}.")
    if is_cpu and name == "float16":
        raise LoadError("float16 is hundreds of times slower than float32 on a CPU. Choose auto, bfloat16 or float32.")
    return _DTYPES[name]


def memory_for_cache(device: torch.device) -> int:
    """Bytes that keys and values may take on this device, now that the weights are in place.

    A GPU is the model's own but for what a step needs; a machine's memory is shared with whatever else runs there.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * _CACHE_SHARE_OF_GPU)
    return int(psutil.virtual_memory().available * _CACHE_SHARE_OF_MACHINE)


def tune_num_threads(forward: Callable[[], Any]) -> int:
    """Set torch's thread count in this thread to what runs `forward` fastest: one, or as many as torch proposes.

    Tiny models lose more by waking threads than they win. To be called in the thread that will run the model.
    """
    candidates = sorted({1, torch.get_num_threads()})
    durations = time_in_turns(*(partial(_run_with, number, forward) for number in candidates), num_rounds=_NUM_TURNS)
    best = candidates[durations.index(min(durations))]
    torch.set_num_threads(best)
    return best


def _run_with(num_threads: int, forward: Callable[[], Any]) -> None:
    torch.set_num_threads(num_threads)
    forward()


def time_forward(forward: Callable[[], Any]) -> float:
    """Seconds, the fastest of some; the first, which is slow, does not count."""
    return time_in_turns(forward)[0]


def time_in_turns(*forwards: Callable[[], Any], num_rounds: int = _NUM_TIMED_FORWARDS) -> list[float]:
    """Seconds of each, as time_forward does. In turns, so that what else the machine does hits all of them."""
    for forward in forwards:
        forward()
    rounds = [[_timed(forward) for forward in forwards] for _ in range(num_rounds)]
    return [min(durations) for durations in zip(*rounds, strict=True)]


def _timed(forward: Callable[[], Any]) -> float:
    began = time.perf_counter()
    forward()
    return time.perf_counter() - began


def _gpu_dtype(device_map: DeviceMap) -> torch.dtype:
    has_bf16 = device_map != {"": "mps"} and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if has_bf16 else torch.float16


def _cpu_dtype(num_parameters: Callable[[], int]) -> torch.dtype:
    is_large = _cpu_has_bf16() and num_parameters() >= SMALL_MODEL_PARAMETERS
    return torch.bfloat16 if is_large else torch.float32


def _cpu_has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
