"""From the logits of a step's rows to a token for each.

Every row has parameters of its own, and all rows are computed together. A row's token never depends on the others:
its randomness comes from its seed and from how many tokens came before, so the same seed gives the same text whatever
else runs, and an answer that another engine had begun goes on as it would have there.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch

from workers.engines.base import Sampling
from workers.engines.transformers.grammars import Constraint

_GREEDY_BELOW = 1e-4
"""A lower temperature would overflow, and chooses the likeliest token anyway."""
_64_BITS = 2**64 - 1
_NUM_LIKELIEST = 256
"""Sorting a whole vocabulary costs more than a small model's step; these nearly always hold all that top_k, top_p and
min_p leave over."""


@dataclass(slots=True, kw_only=True)
class Sampler:
    """One row's parameters, and what it has said so far. Temperature and top_p are given."""

    sampling: Sampling
    seed: int
    prompt: frozenset[int] = frozenset()
    """For the repetition penalty; empty where there is none."""
    end_tokens: frozenset[int] = frozenset()
    """Not chosen before `min_tokens` have come."""
    num_before: int = 0
    """Tokens of the answer so far."""
    counts: Counter[int] = field(default_factory=Counter)
    """Of the answer's tokens; kept only where a penalty needs them."""
    constraint: Constraint | None = None
    """What form the answer must have."""

    def observe(self, tokens: Sequence[int]) -> None:
        """These have joined the answer. Raises EngineFailed where they do not fit its form."""
        self.num_before += len(tokens)
        if self.constraint and tokens:
            self.constraint.observe(tokens)
        asked = self.sampling
        if asked.presence_penalty or asked.frequency_penalty or asked.repetition_penalty != 1:
            self.counts.update(tokens)

    @property
    def is_greedy(self) -> bool:
        return self.sampling.temperature is not None and self.sampling.temperature < _GREEDY_BELOW

    def end(self) -> None:
        """A token that ends answers has come. Raises EngineFailed where the answer has no end in its form."""
        if self.constraint:
            self.constraint.end()

    @property
    def is_complete(self) -> bool:
        """The answer has its form, and nothing can be added to it."""
        return self.constraint is not None and self.constraint.is_complete

    @property
    def is_truncated(self) -> bool:
        """Whether only a part of the vocabulary may be drawn."""
        asked = self.sampling
        return bool(asked.top_k) or asked.min_p > 0 or (asked.top_p is not None and asked.top_p < 1)

    def uniform(self) -> float:
        """From [0, 1), for the next token: SplitMix64 (Steele, Lea and Flood, 2014) at this place of the row."""
        mixed = (self.seed + (self.num_before + 1) * 0x9E3779B97F4A7C15) & _64_BITS
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _64_BITS
        return ((mixed ^ (mixed >> 31)) >> 11) / 2**53

    def added(self) -> Iterable[tuple[int, float]]:
        """What is added to the logits of some tokens."""
        asked = self.sampling
        yield from asked.logit_bias.items()
        if asked.presence_penalty or asked.frequency_penalty:
            for token, count in self.counts.items():
                yield token, -asked.presence_penalty - asked.frequency_penalty * count
        if self.num_before < asked.min_tokens:
            for token in self.end_tokens:
                yield token, float("-inf")

    def repeated(self) -> Iterable[int]:
        """The tokens that the repetition penalty concerns."""
        return self.prompt | self.counts.keys() if self.sampling.repetition_penalty != 1 else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprobs:
    """How likely the model alone found a chosen token, and its likeliest alternatives, itself perhaps among them."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """A row's next token."""

    token: int
    logprobs: TokenLogprobs | None = None


def choose(logits: torch.Tensor, samplers: Sequence[Sampler]) -> list[Chosen | None]:
    """A token for each row of logits (rows, vocabulary). None for a row whose logits are not numbers."""
    logits = logits.float()
    # On CUDA, drawing from NaN would not raise but break the whole process.
    broken = logits.isnan().any(-1).tolist()
    logprobs = _Logprobs(logits, samplers)
    adjusted = _adjust(logits, samplers)
    tokens = adjusted.argmax(-1)
    random = [row for row, sampler in enumerate(samplers) if not sampler.is_greedy and not broken[row]]
    for is_truncated, draw in ((False, _draw_from_all), (True, _draw_from_likeliest)):
        if rows := [row for row in random if samplers[row].is_truncated is is_truncated]:
            tokens[rows] = draw(adjusted[rows], [samplers[row] for row in rows])
    chosen = zip(tokens.tolist(), broken, strict=True)
    return [None if bad else Chosen(token, logprobs.of(row, token)) for row, (token, bad) in enumerate(chosen)]


class _Logprobs:
    """Of the model's own distribution, before any parameter changes it; only for the rows that want them."""

    def __init__(self, logits: torch.Tensor, samplers: Sequence[Sampler]) -> None:
        wanted = {row: sampler.sampling.logprobs for row, sampler in enumerate(samplers)}
        self._num_top = {row: num_top for row, num_top in wanted.items() if num_top is not None}
        self._places = {row: place for place, row in enumerate(self._num_top)}
        if self._num_top:
            self._logprobs = logits[list(self._num_top)].log_softmax(-1)
            self._top = self._logprobs.topk(max(1, *self._num_top.values()))

    def of(self, row: int, token: int) -> TokenLogprobs | None:
        if row not in self._places:
            return None
        place, num_top = self._places[row], self._num_top[row]
        values, tokens = self._top.values[place, :num_top], self._top.indices[place, :num_top]
        return TokenLogprobs(
            token=token,
            logprob=float(self._logprobs[place, token]),
            top=tuple(zip(tokens.tolist(), values.tolist(), strict=True)),
        )


def _adjust(logits: torch.Tensor, samplers: Sequence[Sampler]) -> torch.Tensor:
    """The logits after penalties, bias and what is forbidden. (rows, vocabulary)"""
    repeated = [(row, token) for row, sampler in enumerate(samplers) for token in sampler.repeated()]
    added = [(row, *entry) for row, sampler in enumerate(samplers) for entry in sampler.added()]
    constraints = {row: sampler.constraint for row, sampler in enumerate(samplers) if sampler.constraint}
    if not repeated and not added and not constraints:
        return logits
    logits = logits.clone()
    if repeated:
        places = tuple(torch.tensor(repeated, device=logits.device).T)
        penalties = torch.tensor([samplers[row].sampling.repetition_penalty for row, _ in repeated]).to(logits.device)
        found = logits[places]
        logits[places] = torch.where(found > 0, found / penalties, found * penalties)
    if added:
        rows, tokens, values = zip(*added, strict=True)
        places = tuple(torch.tensor([rows, tokens], device=logits.device))
        logits.index_put_(places, torch.tensor(values, device=logits.device), accumulate=True)
    if constraints:
        allowed = torch.stack([constraint.allowed(logits.shape[-1]) for constraint in constraints.values()])
        constrained = list(constraints)
        logits[constrained] = logits[constrained].masked_fill(~allowed.to(logits.device), float("-inf"))
    return logits


def _draw_from_all(logits: torch.Tensor, samplers: Sequence[Sampler]) -> torch.Tensor:
    """(rows,): no sorting is needed where no token is left out."""
    return _draw((logits / _temperatures(logits, samplers)).softmax(-1), samplers)


def _draw_from_likeliest(logits: torch.Tensor, samplers: Sequence[Sampler]) -> torch.Tensor:
    """(rows,): among the likeliest; the whole vocabulary is sorted only for rows for which these do not do."""
    scaled = logits / _temperatures(logits, samplers)
    values, tokens = scaled.topk(min(_NUM_LIKELIEST, scaled.shape[-1]))
    weights = _kept(values, scaled.logsumexp(-1, keepdim=True), samplers)
    drawn = tokens.gather(-1, _draw(weights, samplers)[:, None])[:, 0]
    if wide := (weights[:, -1] > 0).nonzero()[:, 0].tolist():
        values, tokens = scaled[wide].sort(descending=True)
        wide_samplers = [samplers[row] for row in wide]
        weights = _kept(values, values.logsumexp(-1, keepdim=True), wide_samplers)
        drawn[wide] = tokens.gather(-1, _draw(weights, wide_samplers)[:, None])[:, 0]
    return drawn


def _kept(values: torch.Tensor, total: torch.Tensor, samplers: Sequence[Sampler]) -> torch.Tensor:
    """Probabilities of sorted logits (rows, n), 0 from the first on that top_k, top_p or min_p leave out."""
    asked = [sampler.sampling for sampler in samplers]
    num_values = values.shape[-1]
    probabilities = (values - total).exp()
    top_k = torch.tensor([item.top_k or num_values for item in asked], device=values.device)[:, None]
    top_p = torch.tensor([1.0 if item.top_p is None else item.top_p for item in asked], device=values.device)[:, None]
    min_p = torch.tensor([item.min_p for item in asked], device=values.device)[:, None]
    is_kept = torch.arange(num_values, device=values.device) < top_k
    is_kept &= probabilities.cumsum(-1) - probabilities < top_p
    is_kept &= probabilities >= min_p * probabilities[:, :1]
    is_kept[:, 0] = True
    return probabilities * is_kept


def _draw(weights: torch.Tensor, samplers: Sequence[Sampler]) -> torch.Tensor:
    """(rows,): places in weights (rows, n), each as likely as its weight says."""
    # Added up in double precision: single rounds the rare tokens of a large vocabulary away.
    reached = weights.cumsum(-1, dtype=torch.float64)
    uniform = torch.tensor([sampler.uniform() for sampler in samplers], dtype=torch.float64, device=weights.device)
    places = torch.searchsorted(reached, uniform[:, None] * reached[:, -1:], right=True)[:, 0]
    # Rounding may reach the very end, where weights may be 0.
    last = (weights > 0).long().mul(torch.arange(weights.shape[-1], device=weights.device)).argmax(-1)
    return torch.minimum(places, last)


def _temperatures(logits: torch.Tensor, samplers: Sequence[Sampler]) -> torch.Tensor:
    return torch.tensor([sampler.sampling.temperature or 1.0 for sampler in samplers], device=logits.device)[:, None]
