"""Rule: how much memory a replica needs, as far as anybody knows, and what a worker's devices have left for it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

GIB = 1 << 30
_BYTES_OF_DTYPE = {"float32": 4.0}
_BYTES_OF_PARAMETER = 2.0
_OVERHEAD = 1.2
"""Cache and activations on top of the weights: the least that is of use."""
_NUM_PARAMETERS = re.compile(r"(?<![A-Za-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", re.IGNORECASE)
_QUANTIZED = (
    (re.compile(r"awq|gptq|(?<![a-z0-9])(int4|nf4|4-?bit|q4)", re.IGNORECASE), 0.6),
    (re.compile(r"(?<![a-z0-9])(int8|fp8|8-?bit|q8)", re.IGNORECASE), 1.1),
)
_UNITS = {"b": 1e9, "m": 1e6}


class Grounds(TextChoices):
    """How we know."""

    GIVEN = "given", _("as the deployment says")
    MEASURED = "measured", _("as measured")
    ESTIMATED = "estimated", _("estimated from the model’s name")


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that one replica takes."""

    num_bytes: int
    grounds: Grounds


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """One device of a worker, as its last heartbeat told."""

    kind: str
    total_bytes: int
    free_bytes: int


def need(given_gb: float | None, measured_bytes: int, spec: Mapping[str, Any]) -> Need | None:
    """What a replica with this specification needs: what was said, else seen, else guessed. None: nobody knows."""
    if given_gb is not None:
        return Need(round(given_gb * GIB), Grounds.GIVEN)
    if measured_bytes:
        return Need(measured_bytes, Grounds.MEASURED)
    guess = estimate_bytes(str(spec.get("source", "")), str(spec.get("dtype", "auto")))
    return Need(guess, Grounds.ESTIMATED) if guess else None


def estimate_bytes(source: str, dtype: str) -> int | None:
    """From the number of parameters that names of models tell: `Qwen2.5-7B-Instruct`, `Mixtral-8x7B`, `SmolLM2-135M`.

    None when the name tells none. Experts share layers, so `8x7B` is taken for a little more than it is.
    """
    name = source.rstrip("/").rpartition("/")[2]
    found = _NUM_PARAMETERS.search(name)
    if not found:
        return None
    experts, number, unit = found.groups()
    num_parameters = int(experts or 1) * float(number) * _UNITS[unit.lower()]
    return round(num_parameters * _bytes_per_parameter(name, dtype) * _OVERHEAD)


def _bytes_per_parameter(name: str, dtype: str) -> float:
    for pattern, num_bytes in _QUANTIZED:
        if pattern.search(name):
            return num_bytes
    return _BYTES_OF_DTYPE.get(dtype, _BYTES_OF_PARAMETER)


def devices_for(device: str, devices: Sequence[DeviceMemory]) -> list[int]:
    """Indices of the devices that a specification's `device` means on this worker; empty when it has none such."""
    kind, _colon, number = device.partition(":")
    if kind == "auto":
        accelerators = [index for index, one in enumerate(devices) if one.kind != "cpu"]
        return accelerators or list(range(len(devices)))
    chosen = [index for index, one in enumerate(devices) if one.kind == kind]
    if kind == "cuda":
        # Without a number it is the first.
        place = int(number or 0)
        return chosen[place : place + 1]
    return chosen


class Room:
    """The memory that one worker's devices have left, while a plan gives replicas to it. `spec` is a replica's."""

    def __init__(self, devices: Iterable[DeviceMemory]) -> None:
        self.devices = tuple(devices)
        self._free = [device.free_bytes for device in self.devices]

    def free(self, spec: Mapping[str, Any]) -> int:
        """Bytes that such a replica could have: of its best device, or of all together where it spreads over them."""
        free = [max(0, self._free[index]) for index in self._chosen(spec)]
        return sum(free) if _spreads(spec) else max(free, default=0)

    def total(self, spec: Mapping[str, Any]) -> int:
        """Bytes that such a replica could have if nothing else ran."""
        totals = [self.devices[index].total_bytes for index in self._chosen(spec)]
        return sum(totals) if _spreads(spec) else max(totals, default=0)

    def take(self, spec: Mapping[str, Any], num_bytes: int) -> None:
        """Count so much as taken, from the devices that have most."""
        for index in sorted(self._chosen(spec), key=lambda index: -self._free[index]):
            part = min(num_bytes, max(0, self._free[index])) if _spreads(spec) else num_bytes
            self._free[index] -= part
            num_bytes -= part

    def taken_share(self, spec: Mapping[str, Any]) -> float:
        """How full it is for such a replica, 0 to 1; what nobody knows counts as full."""
        total = self.total(spec)
        return 1.0 - min(1.0, self.free(spec) / total) if total else 1.0

    def _chosen(self, spec: Mapping[str, Any]) -> list[int]:
        return devices_for(str(spec.get("device", "auto")), self.devices)


def _spreads(spec: Mapping[str, Any]) -> bool:
    """transformers lays one model over several devices by itself, if it may choose them."""
    return spec.get("engine") == "transformers" and spec.get("device", "auto") == "auto"
