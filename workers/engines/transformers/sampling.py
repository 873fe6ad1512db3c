"""From logits to a token."""

import torch

from workers.engines.base import Sampling

_GREEDY_BELOW = 1e-4
"""A lower temperature would overflow, and chooses the likeliest token anyway."""
_64_BITS = 2**64 - 1
_NUM_LIKELIEST = 1024
"""Sorting a whole vocabulary costs more than a small model's step; these nearly always hold the nucleus."""


class Sampler:
    """Chooses one row's tokens. The same seed gives the same text, whatever else runs.

    Each token's randomness depends on the seed and on how many tokens came before it, and on nothing else: so an answer
    that another engine had begun goes on as it would have there.
    """

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self._temperature = 1.0 if sampling.temperature is None else sampling.temperature
        self._top_p = 1.0 if sampling.top_p is None else sampling.top_p
        self._generator = torch.Generator(device)
        self._seed = self._generator.seed() if sampling.seed is None else sampling.seed

    def choose(self, logits: torch.Tensor, num_before: int) -> int:
        """The next token after so many, from logits (vocabulary,). Raises FloatingPointError for what is no number."""
        # On CUDA, sampling from NaN would not raise but break the whole process.
        if bool(logits.isnan().any()):
            raise FloatingPointError("The model's logits are not numbers.")
        if self._temperature < _GREEDY_BELOW:
            return int(logits.argmax())
        self._generator.manual_seed(_mixed(self._seed, num_before))
        probabilities = torch.softmax(logits.float() / self._temperature, dim=-1)
        if self._top_p >= 1.0:
            return self._draw(probabilities)
        likeliest, tokens = _nucleus(probabilities, self._top_p)
        return int(tokens[self._draw(likeliest)])

    def _draw(self, weights: torch.Tensor) -> int:
        return int(torch.multinomial(weights, 1, generator=self._generator))


def _mixed(seed: int, position: int) -> int:
    """A seed for one position, unlike its neighbours' in every bit: some generators use the lowest 32 alone.

    The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    mixed = (seed + (position + 1) * 0x9E3779B97F4A7C15) & _64_BITS
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _64_BITS
    return mixed ^ (mixed >> 31)


def _nucleus(probabilities: torch.Tensor, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The fewest likeliest tokens that together reach `top_p`, at least one: probabilities (n,) and tokens (n,)."""
    likeliest, tokens = probabilities.topk(min(_NUM_LIKELIEST, len(probabilities)))
    if likeliest.sum() < top_p:
        likeliest, tokens = probabilities.sort(descending=True)
    num_kept = max(1, int((likeliest.cumsum(0) - likeliest < top_p).sum()))
    return likeliest[:num_kept], tokens[:num_kept]
