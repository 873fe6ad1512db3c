"""Rules: from the last hidden state of some texts to one vector for each, by sentence-transformers' names."""

from collections.abc import Callable, Mapping, Sequence

import torch

Pooling = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of hidden states (texts, tokens, width), and how many tokens each text has (texts,), the rest being padding on the
right: vectors (texts, width)."""


def pool(hidden: torch.Tensor, lengths: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
    """Vectors (texts, width * poolings): several poolings stand one after the other."""
    return torch.cat([POOLINGS[name](hidden.float(), lengths) for name in names], dim=-1)


def _first(hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return hidden[:, 0]


def _last(hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]


def _max(hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return hidden.masked_fill(~_mask(hidden, lengths)[..., None], -torch.inf).amax(1)


def _mean(hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return _sum(hidden, lengths) / lengths[:, None]


def _mean_by_root(hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return _sum(hidden, lengths) / lengths[:, None].sqrt()


def _mean_by_place(hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The n-th token counts n times: a decoder's later ones have seen more."""
    places = torch.arange(1, hidden.shape[1] + 1, device=hidden.device)[None, :, None]
    return _sum(hidden * places, lengths) / (lengths * (lengths + 1) / 2)[:, None]


def _sum(hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return (hidden * _mask(hidden, lengths)[..., None]).sum(1)


def _mask(hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]


# In the order in which sentence-transformers joins them.
POOLINGS: Mapping[str, Pooling] = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_by_root,
    "weightedmean": _mean_by_place,
    "lasttoken": _last,
}
