"""Muon: the steps of torch's own, in the weights' precision."""

import pytest
import torch

from workers.demo_model.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(24, 24), (64, 24), (24, 64)])
def test_a_matrix_keeps_its_directions_and_loses_their_lengths(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))

    made = orthogonal(matrix)

    lengths = torch.linalg.svdvals(made)
    assert made.shape == shape
    assert 0.5 < lengths.min() <= lengths.max() < 1.5
    assert torch.linalg.svdvals(matrix.T @ made).sum() == pytest.approx(float((matrix * made).sum()), rel=0.01)


@pytest.mark.parametrize("shape", [(24, 24), (64, 24), (24, 64)])
def test_it_goes_where_torchs_own_goes(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(2)
    begin = torch.randn(shape, generator=generator)
    ours, theirs = torch.nn.Parameter(begin.clone()), torch.nn.Parameter(begin.clone())
    settings = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.01}
    optimizers = (Muon([ours], **settings), torch.optim.Muon([theirs], **settings))

    for _ in range(5):
        ours.grad = theirs.grad = torch.randn(shape, generator=generator)
        for optimizer in optimizers:
            optimizer.step()

    # Torch's rounds to bfloat16, which has three digits.
    assert (ours - theirs).norm() < 0.02 * (ours - begin).norm()
