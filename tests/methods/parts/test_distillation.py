"""Distillation against its formula."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hnet_cl.methods.parts.distillation import distillation, extend, masks, only

NUMBERS = st.lists(st.floats(-10, 10), min_size=6, max_size=6)


def softmax(logits: list[float], temperature: float) -> list[float]:
    weights = [math.exp(value / temperature) for value in logits]
    return [weight / sum(weights) for weight in weights]


@given(NUMBERS, NUMBERS, st.sampled_from([1.0, 2.0, 5.0]))
def test_by_its_definition(student: list[float], teacher: list[float], temperature: float) -> None:
    rows = [slice(0, 3), slice(3, 6)]
    expected = 0.0
    for row in rows:
        p, q = softmax(teacher[row], temperature), softmax(student[row], temperature)
        expected -= sum(a * math.log(b) for a, b in zip(p, q, strict=True)) / len(rows)
    inputs = (torch.tensor(logits, dtype=torch.double).view(2, 3) for logits in (student, teacher))
    assert distillation(*inputs, temperature).item() == pytest.approx(expected * temperature**2)


def test_its_gradient_is_the_difference_of_probabilities() -> None:
    student, teacher = torch.randn(2, 4, 3, dtype=torch.double)
    student.requires_grad_()
    distillation(student, teacher, 2.0).backward()
    expected = ((student / 2).softmax(1) - (teacher / 2).softmax(1)) / 4 * 2**2 / 2
    torch.testing.assert_close(student.grad, expected.detach())


@pytest.mark.parametrize(
    ("new_heads", "p"),
    [
        ("zero_logit", [math.e, 1.0, 1.0]),  # the new output has the weight e^0
        ("zero_probability", [math.e, 1.0, 0.0]),
    ],
)
def test_new_heads(new_heads: str, p: list[float]) -> None:
    """Two outputs so far, with logits 2 and 0; a new one; and one that takes no part yet. T = 2."""
    had, wanted = masks([slice(0, 2), slice(0, 3)], 4, torch.device("cpu"))
    teacher = extend(torch.tensor([[2.0, 0.0, 7.0, 7.0]]), had, wanted, new_heads)  # type: ignore[arg-type]
    student = torch.tensor([[0.2, -0.4, 1.0, 50.0]], requires_grad=True)
    value = distillation(only(student, wanted), teacher, 2.0)
    q = softmax([0.2, -0.4, 1.0], 2.0)
    expected = -4 * sum(a / sum(p) * math.log(b) for a, b in zip(p, q, strict=True))
    assert value.item() == pytest.approx(expected, rel=1e-5)
    value.backward()
    assert student.grad is not None and student.grad.isfinite().all() and student.grad[0, 3] == 0


def test_masks() -> None:
    found = masks([slice(0, 1), slice(1, 3)], 3, torch.device("cpu"))
    assert found.tolist() == [[True, False, False], [False, True, True]]
