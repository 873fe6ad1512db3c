"""What this machine could do at best: how fast it reads memory, and how fast it multiplies matrices.

python -m bench.engine.roofline        prints it as JSON
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from bench.engine.models import Shape

_READ_BYTES = 256 * 2**20
_MATRIX_SIZE = 2048
_TIMED_S = 1.0
BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofline:
    """`flops`: of a matrix product, by the numbers' format."""

    read_bytes_per_s: float
    flops: dict[str, float]

    def step_s(self, shape: Shape, dtype: str, num_rows: int) -> float:
        """The least that a decode step of so many rows can take: all weights are read, each row multiplied by each.

        Keys and values are not counted: after a short prompt they are little beside the weights.
        """
        reading = shape.num_parameters * BYTES[dtype] / self.read_bytes_per_s
        multiplying = 2 * shape.num_parameters * num_rows / self.flops[dtype]
        return max(reading, multiplying)


def measure() -> Roofline:
    """With all cores; the fastest of some times."""
    import torch

    numbers = torch.ones(_READ_BYTES // 4)
    read_s = _fastest_s(numbers.sum)
    return Roofline(
        read_bytes_per_s=_READ_BYTES / read_s,
        flops={dtype: _flops(torch.randn(_MATRIX_SIZE, _MATRIX_SIZE, dtype=getattr(torch, dtype))) for dtype in BYTES},
    )


def _flops(matrix) -> float:
    return 2 * len(matrix) ** 3 / _fastest_s(lambda: matrix @ matrix)


def _fastest_s(job: Callable[[], object]) -> float:
    durations: list[float] = []
    while sum(durations) < _TIMED_S:
        began = time.perf_counter()
        job()
        durations.append(time.perf_counter() - began)
    return min(durations)


if __name__ == "__main__":
    print(json.dumps(asdict(measure())))
