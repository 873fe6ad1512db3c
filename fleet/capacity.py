"""Rule: how full and how busy a worker is, from what its last heartbeat told of its machine."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NUMBER = re.compile(r" \(\d+\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Of the devices that models run on: the accelerators together, or the machine itself where it has none."""

    memory_used_bytes: int
    memory_total_bytes: int
    """0: nothing is known yet."""
    utilization: float | None
    """Share of their computing time, 0 to 1, on average; None where nobody can tell."""

    @property
    def memory_share(self) -> float | None:
        """0 to 1; None when nothing is known."""
        return self.memory_used_bytes / self.memory_total_bytes if self.memory_total_bytes else None

    @property
    def memory_percent(self) -> int:
        return round(100 * (self.memory_share or 0))


def capacity(hardware: Mapping[str, Any]) -> Capacity:
    """`hardware` as Worker.hardware keeps it; empty before the first heartbeat."""
    devices = _devices(hardware)
    total = sum(device.get("memory_total_bytes", 0) for device in devices)
    told = [device["utilization"] for device in devices if device.get("utilization") is not None]
    return Capacity(
        memory_used_bytes=total - sum(device.get("memory_free_bytes", 0) for device in devices),
        memory_total_bytes=total,
        utilization=sum(told) / len(told) if told else None,
    )


def device_names(hardware: Mapping[str, Any]) -> str:
    """Of the same devices: `2 × NVIDIA H100 80GB HBM3`."""
    # Cards of a machine are told apart by their number, at the end.
    names = Counter(_NUMBER.sub("", str(device.get("name", "?"))) for device in _devices(hardware))
    return ", ".join(name if count == 1 else f"{count} × {name}" for name, count in names.items())


def _devices(hardware: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    devices = hardware.get("devices", [])
    return [device for device in devices if device.get("kind") != "cpu"] or devices
