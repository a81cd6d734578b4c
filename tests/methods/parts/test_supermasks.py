"""Masks of weights: which weights they let through, the gradient of scores, and how they are stored."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hnet_cl.core.seeding import stream
from hnet_cl.methods.parts.supermasks import Supermasks, packed, unpacked

SCORES = torch.tensor([[0.3, -0.1], [0.0, -0.9]])


def masks_of(scores: torch.Tensor, kept: float | None, tasks: int = 2) -> Supermasks:
    masks = Supermasks([scores.shape], tasks, kept)
    with torch.no_grad():
        masks.scores[0].copy_(scores)
    return masks


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (None, [[True, False], [True, False]]),
        (0.5, [[True, False], [False, True]]),
        (0.75, [[True, True], [False, True]]),
        (0.01, [[False, False], [False, True]]),  # one at least
        (1.0, [[True, True], [True, True]]),
    ],
)
def test_which_weights_are_let_through(kept: float | None, expected: list[list[bool]]) -> None:
    masks = masks_of(SCORES, kept)
    assert masks.chosen()[0].tolist() == expected
    assert masks.trained()[0].tolist() == [[float(one) for one in row] for row in expected]


@pytest.mark.parametrize(("kept", "signs"), [(None, [[1.0, 1.0], [1.0, 1.0]]), (0.5, [[1.0, -1.0], [0.0, -1.0]])])
def test_gradients_go_straight_through_the_mask(kept: float | None, signs: list[list[float]]) -> None:
    """With the output sum(W m x), the slope of a mask is W x, also where it is 0; that of |s| has the sign of s."""
    masks = masks_of(SCORES, kept)
    weight, inputs = torch.tensor([[2.0, -3.0], [5.0, 7.0]]), torch.tensor([1.0, 10.0])
    (weight * masks.trained()[0] * inputs).sum().backward()
    expected = torch.tensor([[2.0, -30.0], [5.0, 70.0]]) * torch.tensor(signs)
    assert masks.scores[0].grad is not None and torch.equal(masks.scores[0].grad, expected)


def test_masks_are_exact_however_large_scores_are() -> None:
    masks = masks_of(torch.tensor([[3e7, -3e7, 1e-30, -1e-30]]), None)
    assert masks.trained()[0].tolist() == [[1.0, 0.0, 1.0, 0.0]]


def test_bits_by_hand() -> None:
    mask = torch.tensor([True, False, True, False, False, False, False, True, True])
    assert packed(mask).tolist() == [1 + 4 + 128, 1]
    assert torch.equal(unpacked(torch.tensor([133, 1], dtype=torch.uint8), 9), mask)


@given(st.lists(st.booleans(), max_size=40))
def test_what_is_packed_is_unpacked(values: list[bool]) -> None:
    bits = packed(torch.tensor(values, dtype=torch.bool))
    assert len(bits) == (len(values) + 7) // 8
    assert unpacked(bits, len(values)).tolist() == values


def test_each_task_keeps_masks_of_its_own() -> None:
    masks = Supermasks([torch.Size([3, 2]), torch.Size([2, 3, 1, 1])], 3, None)
    assert [mask.all().item() for mask in masks.of(0)] == [True, True], "all weights, at first"
    kept = []
    for task in range(3):
        masks.draw(stream(1, "scores", task))
        masks.keep(task)
        kept.append(masks.chosen())
    assert not torch.equal(kept[0][0], kept[1][0])
    for task in range(3):
        assert all(map(torch.equal, masks.of(task), kept[task]))
    assert masks.bits.shape == (3, 2) and masks.score_bytes == 4 * 12


def test_first_scores_lie_within_the_root_of_the_fan_in() -> None:
    masks = Supermasks([torch.Size([50, 100]), torch.Size([40, 4, 5, 5])], 1, None)
    masks.draw(stream(1, "scores"))
    for score in masks.scores:
        low, high = score.aminmax()
        assert -0.1 <= low < -0.099 and 0.099 < high <= 0.1
        assert abs(score.mean()) < 0.01
