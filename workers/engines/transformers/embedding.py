"""Vectors of texts: the mean of the last hidden state over the text's tokens, at unit length."""

from collections.abc import Sequence
from typing import Any

import torch

MAX_BATCH_TOKENS = 2048
"""Padding included. One batch is what running streams may have to wait for."""


class Embedder:
    """Works on a causal model's body or on an encoder. Runs in the model's thread."""

    def __init__(self, model: Any, *, is_causal: bool) -> None:
        self._body = model.base_model
        self._options = {"use_cache": False} if is_causal else {}

    def embed(self, batch: Sequence[list[int]]) -> list[list[float]]:
        """One vector for each list of ids, in order."""
        longest = max(map(len, batch))
        device = self._body.device
        # Zero stands for padding, whatever token it is: the mask keeps it out of attention and mean.
        ids = torch.tensor([[*item, *[0] * (longest - len(item))] for item in batch], device=device)
        lengths = torch.tensor([len(item) for item in batch], device=device)
        mask = torch.arange(longest, device=device) < lengths[:, None]  # (texts, tokens)
        hidden = self._body(input_ids=ids, attention_mask=mask.long(), **self._options).last_hidden_state
        weights = mask[..., None].to(torch.float32)
        mean = (hidden.float() * weights).sum(1) / weights.sum(1)  # (texts, width)
        return torch.nn.functional.normalize(mean, dim=-1).tolist()


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
