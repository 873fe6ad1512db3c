"""Rule: on which devices a replica lies, and what it lacks there. Memory is bytes by device: `cpu`, `mps`, `cuda:0`."""

from collections import Counter
from collections.abc import Iterable, Mapping

from protocol.control import DesiredReplica

CPU = "cpu"
Memory = Mapping[str, int]


def devices_of(replica: DesiredReplica, known: Iterable[str]) -> frozenset[str]:
    """Of the devices that this machine has, those that the replica may use."""
    accelerators = frozenset(known) - {CPU}
    if replica.device == "auto":
        return accelerators or frozenset({CPU})
    return frozenset({"cuda:0" if replica.device == "cuda" else replica.device})


def missing(need: Memory, free: Memory, replica: DesiredReplica) -> int:
    """Bytes that are wanting to the replica: on each of its devices, or on all together where it spreads over them."""
    if replica.engine == "transformers" and replica.device == "auto":
        return max(0, sum(need.values()) - sum(free.get(device, 0) for device in devices_of(replica, free)))
    return sum(max(0, num_bytes - free.get(device, 0)) for device, num_bytes in need.items())


def total(parts: Iterable[Memory]) -> Memory:
    """All of them together."""
    together: Counter[str] = Counter()
    for part in parts:
        together.update(part)
    return together


def less(memory: Memory, taken: Memory) -> dict[str, int]:
    """What is left of it; never less than nothing."""
    return {device: max(0, num_bytes - taken.get(device, 0)) for device, num_bytes in memory.items()}
