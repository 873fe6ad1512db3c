"""What the step loop asks of a model: the logits after some rows' next tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from workers.engines.transformers.row import Row


def is_out_of_memory(error: Exception) -> bool:
    # On a CPU torch raises no class of its own.
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


@dataclass(frozen=True, slots=True)
class Piece:
    """The next tokens of one row, to be fed in one step."""

    row: Row
    ids: list[int]

    @property
    def is_last(self) -> bool:
        """Whether nothing of the row remains to be fed: then a token is chosen."""
        return len(self.ids) == self.row.num_unfed


class ForwardPass(Protocol):
    """Feeds rows to a model. Runs in the model's thread, under inference_mode."""

    max_pieces: int
    """That one step may take."""

    @property
    def cache_usage(self) -> float | None:
        """Share of the room for keys and values that seated rows take; None: unknown. May be asked from any thread."""

    def seat(self, row: Row) -> bool:
        """Give the row a place in the model's memory, and tell it what is there already; False while there is none."""

    def extend(self, pieces: Sequence[Piece]) -> bool:
        """Make room for what these pieces add; False if a row must leave first."""

    def leave(self, row: Row) -> None:
        """Take the place back."""

    def step(self, pieces: Sequence[Piece]) -> torch.Tensor:
        """Feed these; logits (pieces that are last, vocabulary) in their order. If it raises, nothing was fed."""

    def shared(self, row: Row) -> int:
        """How many of the row's first tokens need not be fed if it is seated now."""
