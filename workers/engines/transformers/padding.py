"""Texts of different lengths as one tensor."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

MAX_BATCH_TOKENS = 2048
"""Padding included. One batch is what running streams may have to wait for."""


@dataclass(frozen=True, slots=True)
class Padded:
    """`ids` and `mask` (texts, tokens), the padding on the right; `lengths` (texts,)."""

    ids: torch.Tensor
    mask: torch.Tensor
    lengths: torch.Tensor


def pad(batch: Sequence[list[int]], *, padding: int, device: torch.device) -> Padded:
    """These texts' ids, in order."""
    longest = max(map(len, batch))
    ids = torch.tensor([[*item, *[padding] * (longest - len(item))] for item in batch], device=device)
    lengths = torch.tensor([len(item) for item in batch], device=device)
    mask = torch.arange(longest, device=device) < lengths[:, None]
    return Padded(ids, mask.long(), lengths)


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """Positions grouped for few padded tokens: texts of similar length together, no batch above MAX_BATCH_TOKENS."""
    groups: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Sorted, so this one is the longest of the group it joins.
        if groups and (len(groups[-1]) + 1) * lengths[position] <= MAX_BATCH_TOKENS:
            groups[-1].append(position)
        else:
            groups.append([position])
    return groups
