"""Many rows in one forward: their tokens lie packed along one axis, and attention keeps them apart."""

import sys
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch

from workers.engines.transformers.adapters import Adapter, Adapters, Chosen
from workers.engines.transformers.attention import Span, StepPlan
from workers.engines.transformers.forward import Piece
from workers.engines.transformers.row import Row
from workers.engines.transformers.slot_cache import SlotCache
from workers.engines.transformers.slots import Room, Slot, Slots

_HEADROOM = 64
"""Positions kept for the answer of a row that joins, lest it must leave again at once."""


class BatchedForward:
    """See ForwardPass."""

    max_pieces = sys.maxsize

    def __init__(self, model: Any, adapters: Adapters, room: Room) -> None:
        self._model, self._adapters, self._room = model, adapters, room
        self._cache = SlotCache(num_slots=0, capacity=0)
        self._slots = Slots(self._cache, room)
        self._seated: dict[Row, Slot] = {}

    @property
    def cache_usage(self) -> float:
        return self._slots.num_used / self._room.max_positions

    def seat(self, row: Row) -> bool:
        headroom = min(_HEADROOM, row.max_new_tokens)
        slot = self._slots.seat(row.tokens, min(len(row.tokens) + headroom, self._room.max_length), row.variant)
        if slot is None:
            return False
        self._seated[row] = slot
        row.seated(len(slot.tokens))
        return True

    def extend(self, pieces: Sequence[Piece]) -> bool:
        return self._slots.extend(max(piece.row.num_fed + len(piece.ids) for piece in pieces))

    def leave(self, row: Row) -> None:
        self._slots.leave(self._seated.pop(row))

    def shared(self, row: Row) -> int:
        return self._slots.shared(row.tokens, row.variant)

    def step(self, pieces: Sequence[Piece]) -> torch.Tensor:
        packed = sorted(pieces, key=lambda piece: (len(piece.ids) > 1, self._seated[piece.row].index))
        spans = [Span(self._seated[piece.row].index, piece.row.num_fed, len(piece.ids)) for piece in packed]
        ends = dict(zip((piece.row for piece in packed), accumulate(span.length for span in spans), strict=True))
        # Asked for in the order of the pieces: putting logits of a large vocabulary into it costs a copy of them all.
        kept = [ends[piece.row] - 1 for piece in pieces if piece.is_last]
        ids = [token for piece in packed for token in piece.ids]
        with self._adapters.choosing(_chosen(packed)):
            logits = _forward(self._model, StepPlan(self._cache, spans), ids, kept)
        for piece in packed:
            self._seated[piece.row].tokens += piece.ids
        return logits


def _chosen(packed: Sequence[Piece]) -> Chosen:
    """The adapters of these pieces, each with the places of its tokens in the step."""
    places: dict[Adapter, list[int]] = {}
    at = 0
    for piece in packed:
        if piece.row.adapter:
            places.setdefault(piece.row.adapter, []).extend(range(at, at + len(piece.ids)))
        at += len(piece.ids)
    return [(adapter, torch.tensor(found)) for adapter, found in places.items()]


def feed_in_pieces(model: Any, cache: SlotCache, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """(rows, vocabulary): the logits after each, all fed together, in pieces and then a single token."""
    beginnings = [Span(at, 0, len(row) - 1) for at, row in enumerate(rows)]
    _forward(model, StepPlan(cache, beginnings), [token for row in rows for token in row[:-1]], [])
    last = [Span(at, len(row) - 1, 1) for at, row in enumerate(rows)]
    return _forward(model, StepPlan(cache, last), [row[-1] for row in rows], list(range(len(rows))))


def _forward(model: Any, plan: StepPlan, ids: list[int], kept: list[int]) -> torch.Tensor:
    """Logits (kept, vocabulary) after the tokens at these places of the step."""
    output = model(
        input_ids=torch.tensor([ids], device=model.device),
        position_ids=plan.positions[None].to(model.device),
        use_cache=False,
        logits_to_keep=torch.tensor(kept, dtype=torch.long, device=model.device),
        step=plan,
    )
    return output.logits[0]
