"""Muon (Jordan et al., 2024): momentum whose every step is made orthogonal before it is taken."""

from collections.abc import Iterable
from typing import Any

import torch

NUM_ITERATIONS = 5
# Newton and Schulz's polynomial, tuned to bring every singular value near one in few iterations.
LINEAR, CUBIC, QUINTIC = 3.4445, -4.7750, 2.0315
MIN_NORM = 1e-7


class Muon(torch.optim.Optimizer):
    """What torch.optim.Muon does, in the weights' own precision.

    Torch's always computes in bfloat16, which takes a processor without such arithmetic three times as long.
    """

    def __init__(self, matrices: Iterable[torch.Tensor], *, lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Moves every matrix (rows, columns) once, along its gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                self._move(matrix, group)

    def _move(self, matrix: torch.Tensor, group: dict[str, Any]) -> None:
        gradient, state = matrix.grad, self.state[matrix]
        assert gradient is not None
        mean = state.setdefault("mean", torch.zeros_like(gradient))
        mean.lerp_(gradient, 1 - group["momentum"])
        direction = orthogonal(gradient.lerp(mean, group["momentum"]))
        rows, columns = matrix.shape
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        matrix.add_(direction, alpha=-group["lr"] * max(1, rows / columns) ** 0.5)


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest matrix whose singular values are all about one, of the same shape."""
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.T).T
    matrix = matrix / matrix.norm().clamp(min=MIN_NORM)
    for _ in range(NUM_ITERATIONS):
        gram = matrix @ matrix.T
        matrix = torch.addmm(matrix, torch.addmm(gram, gram, gram, beta=CUBIC, alpha=QUINTIC), matrix, beta=LINEAR)
    return matrix
