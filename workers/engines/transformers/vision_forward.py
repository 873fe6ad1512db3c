"""One row after the other, each with a cache of the model's own: for models that see.

A row's images go in with the whole of its prompt, in one step, which may take long: each layer tells that it goes on.
What such a model knows of its positions it keeps to itself from step to step (Qwen-VL), so that no other row may come
between.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from workers.engines.transformers.forward import Piece, is_out_of_memory
from workers.engines.transformers.row import Row
from workers.errors import EngineFailed, RequestCancelled


class VisionForward:
    """See ForwardPass."""

    max_pieces = 1
    cache_usage = None

    def __init__(self, model: Any, progressed: Callable[[], None]) -> None:
        """`progressed` is called again and again during a step."""
        self._model, self._progressed = model, progressed
        self._row: Row | None = None
        self._cache: DynamicCache | None = None
        for module in model.modules():
            for layer in module if isinstance(module, torch.nn.ModuleList) else ():
                layer.register_forward_pre_hook(self._go_on)

    def seat(self, row: Row) -> bool:
        if self._row is not None:
            return False
        self._row, self._cache = row, DynamicCache(config=self._model.config)
        row.seated(0)
        return True

    def extend(self, pieces: Sequence[Piece]) -> bool:
        return True

    def leave(self, row: Row) -> None:
        self._row = self._cache = None

    def shared(self, row: Row) -> int:
        return 0

    def step(self, pieces: Sequence[Piece]) -> torch.Tensor:
        (piece,) = pieces
        try:
            logits = self._logits(piece)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # The loop would try smaller steps. But images are never cut in two, and the cache is half written.
            raise EngineFailed("The prompt, with its images, does not fit into the model's memory.") from error
        return logits if piece.is_last else logits[:0]

    def _go_on(self, *_: Any) -> None:
        """Before each layer. Raises RequestCancelled where nobody waits for the row any more."""
        self._progressed()
        if self._row and self._row.is_done:
            raise RequestCancelled("The request was cancelled.")

    def _logits(self, piece: Piece) -> torch.Tensor:
        """(1, vocabulary), after the last token of the piece."""
        output = self._model(
            input_ids=torch.tensor([piece.ids], device=self._model.device),
            past_key_values=self._cache,
            use_cache=True,
            **self._inputs(piece),
        )
        return output.logits[0, -1:]

    def _inputs(self, piece: Piece) -> dict[str, torch.Tensor]:
        num_fed, seen = piece.row.num_fed, piece.row.seen
        if seen:
            return {} if num_fed else seen.inputs(piece.ids, self._model)
        # Said outright, lest the model go on from the images of a row before this one.
        positions = torch.arange(num_fed, num_fed + len(piece.ids), device=self._model.device)
        return {"position_ids": positions[None]}
