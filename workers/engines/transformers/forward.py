"""The forward pass of rows. Runs in the model's thread, under inference_mode."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from workers.engines.transformers.row import Row

PREFILL_CHUNK = 256
"""Tokens of a prompt that are fed at a time, so that a long prompt does not hold up the rows that decode."""


class ForwardPass:
    """Feeds rows to a model.

    Each row has a cache of its own and a forward of its own. Batching replaces the body of `decode`, and nothing else
    needs to know.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def prefill(self, row: Row) -> None:
        """Feed the next piece of a row's prompt."""
        self._feed(row, row.next_input(PREFILL_CHUNK))

    def decode(self, rows: Sequence[Row], on_error: Callable[[Row, Exception], None]) -> None:
        """One token for each row. An error concerns its own row alone."""
        for row in rows:
            try:
                self._feed(row, row.next_input(1))
            except Exception as error:
                on_error(row, error)

    def probe(self) -> None:
        """One token through the model as rows go, to see that it can, to warm it up or to time it."""
        self._forward([0], DynamicCache(config=self._model.config))

    def _feed(self, row: Row, ids: list[int]) -> None:
        if row.cache is None:
            row.cache = DynamicCache(config=self._model.config)
        row.fed(len(ids), self._forward(ids, row.cache))

    def _forward(self, ids: list[int], cache: DynamicCache) -> torch.Tensor:
        """Logits (vocabulary,) after the last of these ids; the cache grows by all of them."""
        input_ids = torch.tensor([ids], dtype=torch.long, device=self._model.device)  # (1, tokens)
        output = self._model(input_ids=input_ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return output.logits[0, -1]
