"""Attention of a step: the packed tokens of many rows, each row seeing its own past and nothing else.

Given to transformers as an attention implementation, so that every model that takes its attention from there can be
batched. A step's tokens lie along one axis: first the rows that feed a single token, by slot, then longer pieces.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from transformers import AttentionInterface

from workers.engines.transformers.slot_cache import SlotCache

NAME = "flotilla_step"
"""As an `attn_implementation`. transformers makes no mask for a name that it does not know."""

_MAX_PADDING = 2.0
"""Rows go through attention together while that computes at most so many times the positions that they have."""
_WITHOUT_EFFECT = frozenset({"dropout", "position_ids"})


class NotBatchable(Exception):
    """The model wants an attention that is not known here."""


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens of one row in a step: `length` from position `start` on, whose keys and values go into `slot`."""

    slot: int
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True)
class StepPlan:
    """Where each token of a step belongs. `spans` in the order in which the tokens lie; see the module's docstring."""

    cache: SlotCache
    spans: Sequence[Span]
    _masks: dict[Any, torch.Tensor] = field(default_factory=dict)

    @cached_property
    def positions(self) -> torch.Tensor:
        """(tokens,): each token's place in its own row."""
        return torch.tensor([position for span in self.spans for position in range(span.start, span.end)])

    @cached_property
    def places(self) -> torch.Tensor:
        """(tokens,): where each token's keys and values go; see SlotCache.write."""
        lengths = torch.tensor([span.length for span in self.spans])
        slots = torch.tensor([span.slot for span in self.spans])
        return slots.repeat_interleave(lengths) * self.cache.capacity + self.positions

    @cached_property
    def singles(self) -> Sequence[Span]:
        """Those of one token."""
        return [span for span in self.spans if span.length == 1]

    @cached_property
    def first_slot(self) -> int:
        return self.singles[0].slot

    @cached_property
    def end_slot(self) -> int:
        return self.singles[-1].slot + 1

    @cached_property
    def longest_single(self) -> int:
        return max(span.end for span in self.singles)

    @cached_property
    def are_singles_alike(self) -> bool:
        """Whether one call for all of them is worth its padding."""
        if len(self.singles) < 2:
            return False
        computed = (self.end_slot - self.first_slot) * self.longest_single
        return computed <= _MAX_PADDING * sum(span.end for span in self.singles)

    @cached_property
    def single_slots(self) -> torch.Tensor:
        """(singles,): counted from the first."""
        return torch.tensor([span.slot - self.first_slot for span in self.singles])

    @cached_property
    def are_singles_adjacent(self) -> bool:
        return self.end_slot - self.first_slot == len(self.singles)

    def mask_of_singles(self, window: int | None, like: torch.Tensor) -> torch.Tensor:
        """(slots, 1, 1, positions): 0 where a row's token sees, -inf elsewhere."""
        key = (window, like.device, like.dtype)
        if key not in self._masks:
            lengths = torch.ones(self.end_slot - self.first_slot, dtype=torch.long)
            lengths[self.single_slots] = torch.tensor([span.end for span in self.singles])
            seen = _seen(lengths[:, None] - 1, self.longest_single, window)
            self._masks[key] = _additive(seen, like)[:, None, None]
        return self._masks[key]

    def mask_of(self, span: Span, window: int | None, num_groups: int, like: torch.Tensor) -> torch.Tensor | None:
        """(groups * tokens, positions) of one row; None where everything is seen."""
        if span.length == 1 and (window is None or span.end <= window):
            return None
        key = (span, window, like.device, like.dtype)
        if key not in self._masks:
            seen = _seen(torch.arange(span.start, span.end)[:, None], span.end, window)
            self._masks[key] = _additive(seen, like).repeat(num_groups, 1)
        return self._masks[key]


@dataclass(frozen=True, slots=True)
class _Attention:
    """What a layer wants, beside queries, keys and values."""

    scale: float | None
    window: int | None
    softcap: float | None
    sinks: torch.Tensor | None  # (heads,)

    def __call__(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """query (rows, kv heads, groups * tokens, size), keys and values (rows, kv heads, positions, size)."""
        if self.softcap is None and self.sinks is None:
            return torch.nn.functional.scaled_dot_product_attention(query, keys, values, mask, scale=self.scale)
        scores = query @ keys.transpose(-1, -2) * (query.shape[-1] ** -0.5 if self.scale is None else self.scale)
        if self.softcap is not None:
            scores = self.softcap * torch.tanh(scores / self.softcap)
        if mask is not None:
            scores = scores + mask
        return self._weights(scores).to(values.dtype) @ values

    def _weights(self, scores: torch.Tensor) -> torch.Tensor:
        if self.sinks is None:
            return scores.softmax(-1, dtype=torch.float32)
        # A sink takes its share of the attention and gives nothing.
        num_kv_heads, num_queries = scores.shape[1:3]
        per_head = self.sinks.view(num_kv_heads, -1)
        sinks = per_head.repeat_interleave(num_queries // per_head.shape[1], 1).to(scores)
        sinks = sinks[None, :, :, None].expand(len(scores), -1, -1, 1)
        return torch.cat([scores, sinks], -1).softmax(-1, dtype=torch.float32)[..., :-1]


def attend_step(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: None, **options: Any
) -> tuple[torch.Tensor, None]:
    """What transformers calls for each layer: query (1, heads, tokens, size), key and value (1, kv heads, ..).

    Gives (1, tokens, heads, size). Raises NotBatchable for an option that it does not know.
    """
    plan: StepPlan = options.pop("step")
    attention = _read_options(options)
    places = _on(plan.places, key.device)
    keys, values = plan.cache.write(module.layer_idx, places, key[0].transpose(0, 1), value[0].transpose(0, 1))
    query = query[0]  # (heads, tokens, size)
    outputs = []
    rest: Sequence[Span] = plan.spans
    if plan.are_singles_alike:
        outputs.append(_attend_singles(attention, plan, query[:, : len(plan.singles)], (keys, values)))
        rest = plan.spans[len(plan.singles) :]
    at = query.shape[1] - sum(span.length for span in rest)
    for span in rest:
        outputs.append(_attend_span(attention, plan, span, query[:, at : at + span.length], (keys, values)))
        at += span.length
    return torch.cat(outputs)[None], None


def _attend_singles(
    attention: _Attention, plan: StepPlan, query: torch.Tensor, cached: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """(rows, heads, size) from query (heads, rows, size): one call for all slots between the first and the last."""
    keys, values = (item[plan.first_slot : plan.end_slot, : plan.longest_single].transpose(1, 2) for item in cached)
    mask = plan.mask_of_singles(attention.window, query)
    num_heads, _, size = query.shape
    by_slot = query.transpose(0, 1)
    if not plan.are_singles_adjacent:
        slots = _on(plan.single_slots, query.device)
        by_slot = by_slot.new_zeros(len(keys), num_heads, size).index_copy_(0, slots, by_slot)
    output = attention(by_slot.reshape(len(keys), keys.shape[1], -1, size), keys, values, mask)
    output = output.reshape(len(keys), num_heads, -1)
    return output if plan.are_singles_adjacent else output[slots]


def _attend_span(
    attention: _Attention,
    plan: StepPlan,
    span: Span,
    query: torch.Tensor,
    cached: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """(tokens, heads, size) from query (heads, tokens, size): one row alone."""
    keys, values = (item[span.slot : span.slot + 1, : span.end].transpose(1, 2) for item in cached)
    num_heads, num_tokens, size = query.shape
    num_kv_heads = keys.shape[1]
    mask = plan.mask_of(span, attention.window, num_heads // num_kv_heads, query)
    output = attention(query.reshape(1, num_kv_heads, -1, size), keys, values, mask)
    return output.reshape(num_heads, num_tokens, -1).transpose(0, 1)


def _read_options(options: dict[str, Any]) -> _Attention:
    known = {"scaling", "sliding_window", "softcap", "s_aux"} | _WITHOUT_EFFECT
    for name, value in options.items():
        if name not in known and value is not None and value is not False:
            raise NotBatchable(f"its attention has the option {name!r}")
    return _Attention(
        options.get("scaling"), options.get("sliding_window"), options.get("softcap"), options.get("s_aux")
    )


def _seen(positions: torch.Tensor, num_positions: int, window: int | None) -> torch.Tensor:
    """(queries, positions): which of a row's positions a token at these positions (queries, 1) sees."""
    others = torch.arange(num_positions)
    seen = others <= positions
    return seen if window is None else seen & (others > positions - window)


def _additive(seen: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return torch.zeros(seen.shape, dtype=like.dtype).masked_fill(~seen, float("-inf")).to(like.device)


def _on(indices: torch.Tensor, device: torch.device) -> torch.Tensor:
    return indices if indices.device == device else indices.to(device, non_blocking=True)


@contextmanager
def using_attention(model: Any, name: str) -> Iterator[None]:
    """Within: the model has the attention of this name. transformers keeps it in the model's configuration."""
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


AttentionInterface.register(NAME, attend_step)
