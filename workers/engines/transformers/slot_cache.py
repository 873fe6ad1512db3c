"""Keys and values of all rows that are batched: one rectangle for each layer, a slot for each row.

Layers make their tensors when they are first written to, on their own device and in their own number format, so a model
that is spread over devices needs nothing special.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch


@dataclass(slots=True)
class _Layer:
    keys: torch.Tensor  # (slots, positions, heads, head size)
    values: torch.Tensor  # (slots, positions, heads, head size of values)


@dataclass(slots=True)
class SlotCache:
    """`num_slots` rows of up to `capacity` positions."""

    num_slots: int
    capacity: int
    _layers: dict[int, _Layer] = field(default_factory=dict)

    @property
    def bytes_per_position(self) -> int:
        """Of one row, over all layers that were written to so far."""
        tensors = [tensor for layer in self._layers.values() for tensor in (layer.keys, layer.values)]
        return sum(tensor[0, 0].numel() * tensor.element_size() for tensor in tensors)

    def write(
        self, index: int, places: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put a step's tokens into layer `index`; its whole keys and values.

        keys, values (tokens, heads, head size); places (tokens,): each token's slot * capacity + position.
        """
        layer = self._layers.get(index)
        if layer is None:
            layer = self._layers[index] = _Layer(self._rectangle(keys), self._rectangle(values))
        layer.keys.flatten(0, 1).index_copy_(0, places, keys)
        layer.values.flatten(0, 1).index_copy_(0, places, values)
        return layer.keys, layer.values

    def copy(self, source: int, target: int, length: int) -> None:
        """The first positions of one slot into another."""
        for layer in self._layers.values():
            layer.keys[target, :length] = layer.keys[source, :length]
            layer.values[target, :length] = layer.values[source, :length]

    def reshape(self, num_slots: int, capacity: int, kept: Sequence[tuple[int, int]]) -> None:
        """Another rectangle, whose first slots are the `kept` ones: for each its slot until now and its length."""
        self.num_slots, self.capacity = num_slots, capacity
        for layer in self._layers.values():
            # One tensor after the other: beside the rectangle there is never more than a copy of one.
            layer.keys = self._moved(layer.keys, kept)
            layer.values = self._moved(layer.values, kept)

    def clear(self) -> None:
        """Give all memory back, until the next write."""
        self._layers.clear()

    def _moved(self, old: torch.Tensor, kept: Sequence[tuple[int, int]]) -> torch.Tensor:
        new = self._rectangle(old[0])
        for target, (source, length) in enumerate(kept):
            new[target, :length] = old[source, :length]
        return new

    def _rectangle(self, like: torch.Tensor) -> torch.Tensor:
        # Positions that were never written to are masked, but only a number times zero is zero.
        return torch.zeros((self.num_slots, self.capacity, *like.shape[1:]), dtype=like.dtype, device=like.device)
