"""One row at a time, each with a cache of the model's own: for models that cannot be batched."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from workers.engines.transformers.adapters import Adapters
from workers.engines.transformers.forward import Piece
from workers.engines.transformers.row import Row


class SingleForward:
    """See ForwardPass."""

    max_pieces = 1
    cache_usage = None

    def __init__(self, model: Any, adapters: Adapters) -> None:
        self._model, self._adapters = model, adapters
        self._caches: dict[Row, DynamicCache] = {}

    def seat(self, row: Row) -> bool:
        self._caches[row] = DynamicCache(config=self._model.config)
        row.seated(0)
        return True

    def extend(self, pieces: Sequence[Piece]) -> bool:
        return True

    def leave(self, row: Row) -> None:
        del self._caches[row]

    def shared(self, row: Row) -> int:
        return 0

    def step(self, pieces: Sequence[Piece]) -> torch.Tensor:
        (piece,) = pieces
        chosen = [(piece.row.adapter, torch.arange(len(piece.ids)))] if piece.row.adapter else ()
        with self._adapters.choosing(chosen):
            logits = _forward(self._model, piece.ids, self._caches[piece.row])
        return logits if piece.is_last else logits[:0]


def feed_in_pieces(model: Any, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """(rows, vocabulary): the logits after each, fed as rows are, in pieces and then a single token."""
    return torch.cat([_feed_in_pieces(model, list(row)) for row in rows])


def _feed_in_pieces(model: Any, row: list[int]) -> torch.Tensor:
    cache = DynamicCache(config=model.config)
    _forward(model, row[:2], cache)
    _forward(model, row[2:-1], cache)
    return _forward(model, row[-1:], cache)


def _forward(model: Any, ids: list[int], cache: DynamicCache) -> torch.Tensor:
    """Logits (1, vocabulary) after the last of these ids; the cache grows by all of them."""
    input_ids = torch.tensor([ids], dtype=torch.long, device=model.device)  # (1, tokens)
    return model(input_ids=input_ids, past_key_values=cache, use_cache=True).logits[0, -1:]
