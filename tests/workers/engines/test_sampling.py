"""From logits to tokens, row by row: what each parameter does, and that no row touches another."""

from collections import Counter
from typing import Any

import pytest
import torch

from workers.engines.base import Sampling
from workers.engines.transformers.sampling import Chosen, Sampler, choose

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0])


def sampler(seed: int = 0, said: tuple[int, ...] = (), **asked: Any) -> Sampler:
    made = Sampler(
        sampling=Sampling(**{"temperature": 1.0, "top_p": 1.0, **asked}), seed=seed, end_tokens=frozenset({5})
    )
    made.observe(said)
    return made


def tokens(logits: torch.Tensor, samplers: list[Sampler]) -> list[int]:
    return [item.token for item in choose(logits.expand(len(samplers), -1), samplers) if item is not None]


def drawn(num: int = 4000, logits: torch.Tensor = LOGITS, **asked: Any) -> Counter[int]:
    """How often each token is chosen, over as many seeds."""
    return Counter(tokens(logits, [sampler(seed, **asked) for seed in range(num)]))


def distribution(
    logits: torch.Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> list[float]:
    """What the parameters say, token by token: the likeliest that they leave, in their old proportions."""
    probabilities = (logits.double() / temperature).softmax(-1).tolist()
    by_rank = sorted(range(len(probabilities)), key=lambda token: -probabilities[token])
    kept, before = {}, 0.0
    for rank, token in enumerate(by_rank):
        if (top_k and rank >= top_k) or before >= top_p or probabilities[token] < min_p * max(probabilities):
            break
        kept[token] = probabilities[token]
        before += probabilities[token]
    return [kept.get(token, 0.0) / before for token in range(len(probabilities))]


def surprise(counts: Counter[int], expected: list[float]) -> float:
    """How likely it is that counts differ so much from what is expected, by chance alone: Pearson's chi-squared."""
    assert all(expected[token] for token in counts), "a token came that the parameters leave out"
    terms = [(counts[token] - counts.total() * share) ** 2 / share for token, share in enumerate(expected) if share]
    statistic, freedom = sum(terms) / counts.total(), len(terms) - 1
    return float(torch.special.gammaincc(torch.tensor(freedom / 2), torch.tensor(statistic / 2)))


HUNDREDS = torch.randn(400, generator=torch.Generator().manual_seed(3))
"""More tokens than the sampler looks at first."""


@pytest.mark.parametrize("logits", [LOGITS, HUNDREDS], ids=["few", "hundreds"])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 2.0},
        {"top_k": 3},
        {"top_k": 300},
        {"top_p": 0.8},
        {"top_p": 0.97},
        {"min_p": 0.1},
        {"min_p": 0.01, "temperature": 1.5},
        {"top_k": 4, "top_p": 0.95, "min_p": 0.05, "temperature": 0.8},
    ],
    ids=str,
)
def test_tokens_come_as_often_as_their_probabilities_say(asked: dict[str, Any], logits: torch.Tensor) -> None:
    # Seeds are fixed, so this is no matter of luck; the bound only says how good a fit is good enough.
    assert surprise(drawn(10_000, logits, **asked), distribution(logits, **asked)) > 0.001


def test_one_seeds_tokens_come_as_often_as_their_probabilities_say() -> None:
    places = [sampler(5, said=(0,) * place) for place in range(2000)]

    assert surprise(Counter(tokens(LOGITS, places)), distribution(LOGITS)) > 0.001


@pytest.mark.parametrize(
    ("asked", "possible"),
    [
        ({"temperature": 0}, {0}),
        ({"temperature": 1e-9}, {0}),
        ({"top_k": 2}, {0, 1}),
        ({"top_p": 0.0}, {0}),
        ({"top_p": 0.7}, {0, 1}),
        ({"min_p": 0.3}, {0, 1}),
        ({"min_p": 1.0}, {0}),
        ({"top_k": 3, "top_p": 0.6}, {0, 1}),
        ({"logit_bias": {3: 100.0}}, {3}),
        ({"logit_bias": {0: -100.0, 1: -100.0}, "temperature": 0}, {2}),
        ({"presence_penalty": 2.0, "said": (0,), "temperature": 0}, {1}),
        ({"frequency_penalty": 0.4, "said": (0, 0), "temperature": 0}, {0}),
        ({"frequency_penalty": 0.4, "said": (0, 0, 0), "temperature": 0}, {1}),
        ({"repetition_penalty": 3.0, "said": (0,), "temperature": 0}, {1}),
        ({"logit_bias": {5: 100.0}, "min_tokens": 1, "temperature": 0}, {0}),
        ({"logit_bias": {5: 100.0}, "min_tokens": 1, "said": (1,), "temperature": 0}, {5}),
    ],
)
def test_only_what_the_parameters_leave_is_chosen(asked: dict[str, Any], possible: set[int]) -> None:
    assert set(drawn(300, **asked)) == possible


def test_the_repetition_penalty_counts_the_prompt_and_pushes_negative_logits_down() -> None:
    made = Sampler(sampling=Sampling(temperature=0, repetition_penalty=2.0), seed=0, prompt=frozenset({0, 1}))

    assert tokens(torch.tensor([-1.0, -1.2, -1.5]), [made]) == [2]


@pytest.mark.parametrize("asked", [{"top_p": 0.9}, {"top_k": 300}, {"min_p": 0.5}])
def test_a_flat_distribution_is_truncated_exactly_beyond_the_likeliest(asked: dict[str, Any]) -> None:
    flat = torch.linspace(0, 0.5, 400)
    expected = {"top_p": set(range(40, 400)), "top_k": set(range(100, 400)), "min_p": set(range(400))}
    (name,) = asked

    counts = drawn(1500, flat, **asked)

    assert set(counts) <= expected[name]
    assert len(counts) > 0.9 * len(expected[name])


def test_a_rows_token_does_not_depend_on_the_rows_beside_it() -> None:
    kinds: list[dict[str, Any]] = [{}, {"top_k": 5}, {"temperature": 0}, {"top_p": 0.5}, {"presence_penalty": 1.0}]
    logits = torch.randn(40, 500, generator=torch.Generator().manual_seed(1))
    made = [sampler(row, said=(1, 2), **kinds[row % len(kinds)]) for row in range(40)]

    together = choose(logits, made)

    assert together == [choose(logits[row : row + 1], made[row : row + 1])[0] for row in range(40)]


def test_the_same_seed_draws_alike_and_differently_at_each_place() -> None:
    first = [sampler(7, said=(0,) * place) for place in range(20)]
    second = [sampler(7, said=(0,) * place) for place in range(20)]

    assert tokens(LOGITS, first) == tokens(LOGITS, second)
    assert len(set(tokens(LOGITS, first))) > 1


def test_a_row_without_numbers_fails_alone() -> None:
    logits = torch.stack([LOGITS, LOGITS * float("nan"), LOGITS])

    assert choose(logits, [sampler(temperature=0), sampler(), sampler(temperature=0)]) == [
        Chosen(0), None, Chosen(0)
    ]  # fmt: skip


def test_logprobs_are_the_models_own_whatever_the_parameters() -> None:
    (chosen,) = choose(LOGITS[None], [sampler(temperature=0, logprobs=2, logit_bias={3: 100.0})])

    expected = LOGITS.log_softmax(-1).tolist()
    assert chosen is not None
    assert chosen.logprobs is not None
    assert (chosen.logprobs.token, chosen.logprobs.logprob) == (3, pytest.approx(expected[3]))
    assert chosen.logprobs.top == ((0, pytest.approx(expected[0])), (1, pytest.approx(expected[1])))


def test_logprobs_are_told_only_where_they_are_asked_for() -> None:
    plain, told = choose(LOGITS.expand(2, -1), [sampler(temperature=0), sampler(temperature=0, logprobs=0)])

    assert plain == Chosen(0)
    assert told is not None
    assert told.logprobs is not None
    assert told.logprobs.top == ()
