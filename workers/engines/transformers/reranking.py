"""How well documents answer a query, by a model that reads each together with the query: a cross-encoder."""

from collections.abc import Sequence
from typing import Any

import torch

from workers.engines.transformers.attention import using_attention
from workers.engines.transformers.padding import pad
from workers.engines.transformers.prompts import Pair
from workers.engines.transformers.sentence_model import activation_of


def is_reranker_config(config: Any) -> bool:
    """Whether a head with one output ranks: it is called after nothing, or sentence-transformers trained it."""
    is_unnamed = list(config.id2label.values()) == ["LABEL_0"]
    return config.num_labels == 1 and (is_unnamed or _declared_activation(config) is not None)


class Reranker:
    """A model with a head of one output. Runs in the model's thread."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._own_attention = model.config._attn_implementation
        self._padding = model.config.pad_token_id
        # In its own config a model says by what its training has read the output; as a rule that is a sigmoid.
        self._activation = activation_of(_declared_activation(model.config) or "Sigmoid")

    def scores(self, batch: Sequence[Pair]) -> list[float]:
        """One for each pair, in order; the higher the better, from 0 to 1 unless the model declares otherwise."""
        if self._padding is None:
            # A decoder looks at the last token, which it could not tell from padding.
            return [self._scores([pair])[0] for pair in batch]
        return self._scores(batch)

    def _scores(self, batch: Sequence[Pair]) -> list[float]:
        padded = pad([pair.ids for pair in batch], padding=self._padding or 0, device=self._model.device)
        types = {"token_type_ids": self._types(batch)} if batch[0].types else {}
        with using_attention(self._model, self._own_attention):
            logits = self._model(input_ids=padded.ids, attention_mask=padded.mask, **types).logits  # (pairs, 1)
        return self._activation(logits[:, 0].float()).tolist()

    def _types(self, batch: Sequence[Pair]) -> torch.Tensor:
        return pad([pair.types for pair in batch], padding=0, device=self._model.device).ids


def _declared_activation(config: Any) -> str | None:
    newer = getattr(config, "sentence_transformers", None) or {}
    return newer.get("activation_fn") or getattr(config, "sbert_ce_default_activation_function", None)
