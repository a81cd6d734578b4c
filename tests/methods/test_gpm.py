"""Gradient projection memory: bases of inputs by hand, and what they keep."""

from typing import Any

import pytest
import torch
from builders import adam, blobs, learned, learner, sgd
from torch import Tensor, nn

from hnet_cl.hypernet import copied
from hnet_cl.methods.gpm import extended, first_basis

UNIT = torch.eye(4, dtype=torch.float64)
# Inputs 6 e_1, 3 e_2, 2 e_3 and e_4 have the shares 0.72, 0.18, 0.08 and 0.02 of the squared length, 50.
INPUTS = torch.diag(torch.tensor([6.0, 3.0, 2.0, 1.0], dtype=torch.float64))
MOMENT = INPUTS @ INPUTS.T / 4


def same_span(basis: Tensor, directions: Tensor) -> bool:
    """Whether the columns are orthonormal, as many, and span the same."""
    basis = basis.double()
    orthonormal = torch.allclose(basis.T @ basis, UNIT[: basis.shape[1], : basis.shape[1]], atol=1e-6)
    return orthonormal and torch.allclose(basis @ basis.T, directions @ directions.T, atol=1e-6)


@pytest.mark.parametrize(
    ("threshold", "below", "reach"),
    [(0.7, 0, 1), (0.8, 1, 2), (0.95, 2, 3), (0.99, 3, 4), (1.0, 3, 4)],
)
def test_the_first_basis(threshold: float, below: int, reach: int) -> None:
    assert same_span(first_basis(MOMENT, threshold, "below"), UNIT[:, :below])
    assert same_span(first_basis(MOMENT, threshold, "reach"), UNIT[:, :reach])


@pytest.mark.parametrize(("threshold", "new"), [(0.17, []), (0.8, [0]), (0.95, [0, 2]), (0.99, [0, 2, 3])])
def test_a_basis_grows_by_what_it_leaves_of_the_inputs(threshold: float, new: list[int]) -> None:
    old = UNIT[:, [1]].float()
    found = extended(old, MOMENT, threshold)
    assert torch.equal(found[:, :1], old)
    assert same_span(found, UNIT[:, [1, *new]])


def test_a_full_basis_does_not_grow() -> None:
    assert torch.equal(extended(UNIT.float(), MOMENT, 1.5), UNIT.float())
    assert extended(UNIT[:, :2].float(), MOMENT, 1.5).shape == (4, 4)


def test_inputs_of_nothing_have_no_directions() -> None:
    nothing = torch.zeros(3, 3, dtype=torch.float64)
    assert first_basis(nothing, 0.9, "below").shape == first_basis(nothing, 0.9, "reach").shape == (3, 0)


def linear(num_outputs: int) -> nn.Module:
    """Outputs that are linear in the inputs."""
    return nn.Linear(2, num_outputs)


@pytest.mark.parametrize("optimizer", [sgd, adam])
def test_outputs_for_old_inputs_stay_where_the_head_is_shared(optimizer: Any) -> None:
    benchmark = blobs()
    old = torch.linspace(-1, 1, 60)[:, None] * torch.tensor([0.3, 0.9]) + torch.tensor([1.0, 0.0])
    benchmark.tasks[0].train.images.copy_(old)
    made = learner("gpm", benchmark, "cl2", target=linear, optimizer=optimizer, thresholds=[1.0], samples=None)
    learned(made, benchmark, 1, 5)
    (basis,) = made.bases
    assert basis.shape == (3, 2), "a line beside the origin has two directions, with the 1 of the bias"
    made.begin_task(benchmark.tasks[:2])
    before = copied(made.network)
    for _ in range(20):
        made.step(*benchmark.tasks[1].train.batch(slice(None)))
    change = torch.cat([made.network.weight - before.weight, (made.network.bias - before.bias)[:, None]], 1)
    torch.testing.assert_close(change @ basis, torch.zeros(2, 2), rtol=0, atol=1e-5)
    torch.testing.assert_close(made.network(old), before(old), rtol=0, atol=1e-5)
    assert change.abs().max() > 0.02


@pytest.mark.parametrize("optimizer", [sgd, adam])
def test_of_own_heads_only_that_of_the_task_moves(optimizer: Any) -> None:
    benchmark = blobs()
    made = learner("gpm", benchmark, "cl1", optimizer=optimizer, thresholds=[1.0], samples=None, reset_optimizer=False)
    learned(made, benchmark, 1, 5)
    assert len(made.bases) == 1, "the head is free"
    made.begin_task(benchmark.tasks[:2])
    before = copied(made.network).layers
    for _ in range(5):
        made.step(*benchmark.tasks[1].train.batch(slice(None)))
    after = made.network.layers
    moved = [(after[1].weight - before[1].weight).abs().amax(1), (after[1].bias - before[1].bias).abs()]
    for rows in moved:
        assert (rows[2:4] > 0).all() and torch.equal(rows[[0, 1, 4, 5]], torch.zeros(4))
    torch.testing.assert_close(after[0].weight, before[0].weight, rtol=0, atol=1e-5)  # three directions are all


def test_thresholds_of_layers_and_tasks() -> None:
    """The first layer's is of its own, the last one that is given counts for all others, and all grow."""
    benchmark = blobs(num_tasks=3)

    def sizes(first: float, others: float, growth: float, tasks: int) -> list[int]:
        made = learner(
            "gpm", benchmark, "cl2", target=deep, thresholds=[first, others], threshold_growth=growth, samples=None
        )
        return [basis.shape[1] for basis in learned(made, benchmark, tasks, 0).bases]

    assert sizes(1e-6, 1.0, 0.0, 1) == [1, 5, 5] and sizes(1.0, 1e-6, 0.0, 1) == [3, 1, 1]
    assert sizes(1e-6, 1e-6, 0.0, 2) == [1, 1, 1] and sizes(1e-6, 1e-6, 1.0, 2) == [3, 5, 5]


def deep(num_outputs: int) -> nn.Module:
    """Two hidden layers of four units, which are never zero."""
    return nn.Sequential(nn.Linear(2, 4), nn.Softplus(), nn.Linear(4, 4), nn.Softplus(), nn.Linear(4, num_outputs))
