"""Vectors of texts, as the model declares them: see sentence_model.py."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from workers.engines.transformers.adapters import Adapter, Adapters
from workers.engines.transformers.attention import using_attention
from workers.engines.transformers.inputs import Pieces
from workers.engines.transformers.padding import pad
from workers.engines.transformers.pooling import pool
from workers.engines.transformers.sentence_model import SentenceModel
from workers.errors import BadRequest


class Embedder:
    """Works on a causal model's body or on an encoder."""

    def __init__(self, model: Any, adapters: Adapters, sentence_model: SentenceModel) -> None:
        self._model, self._adapters, self._body = model, adapters, model.base_model
        self._own_attention = model.config._attn_implementation
        self._poolings = sentence_model.poolings
        self._layers = torch.nn.Sequential(*sentence_model.layers).to(self._body.device)
        self._is_normalised = sentence_model.is_normalised
        # Decoders would keep all keys and values for nothing; not every encoder has the switch.
        has_cache = "use_cache" in inspect.signature(self._body.forward).parameters
        self._options = {"use_cache": False} if has_cache else {}

    def embed(self, batch: Sequence[list[int]], adapter: Adapter | None = None) -> list[torch.Tensor]:
        """One vector (width,) for each list of ids, in order. To be run in the model's thread."""
        # Zero stands for padding, whatever token it is: the mask keeps it out of attention and poolings.
        padded = pad(batch, padding=0, device=self._body.device)
        chosen = [(adapter, torch.arange(padded.ids.numel()))] if adapter else ()
        with self._adapters.choosing(chosen), using_attention(self._model, self._own_attention):
            hidden = self._body(input_ids=padded.ids, attention_mask=padded.mask, **self._options).last_hidden_state
        vectors = self._layers(pool(hidden, padded.lengths, self._poolings))
        return list(self._normalised(vectors).cpu())

    def whole(
        self, inputs_pieces: Sequence[Pieces], vectors: Sequence[torch.Tensor], dimensions: int | None
    ) -> list[list[float]]:
        """For each input one vector of so many dimensions, from those of all pieces in their order.

        Cut to its first numbers, and at unit length again if it was (Kusupati et al. 2022, Matryoshka). Raises
        BadRequest.
        """
        if dimensions is not None and dimensions > len(vectors[0]):
            raise BadRequest(
                f"'dimensions' is {dimensions}; this model's vectors have {len(vectors[0])}.", param="dimensions"
            )
        rest = iter(vectors)
        joined = [self._joined([next(rest) for _ in pieces], pieces) for pieces in inputs_pieces]
        return [(vector if dimensions is None else self._normalised(vector[:dimensions])).tolist() for vector in joined]

    def _joined(self, vectors: list[torch.Tensor], pieces: Pieces) -> torch.Tensor:
        if len(pieces) == 1:
            return vectors[0]
        weights = torch.tensor([len(piece) for piece in pieces], dtype=torch.float32)[:, None]
        return self._normalised((torch.stack(vectors) * weights).sum(0) / weights.sum())

    def _normalised(self, vectors: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(vectors, dim=-1) if self._is_normalised else vectors
