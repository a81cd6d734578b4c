"""The quadratic penalty against autograd."""

import torch

from hnet_cl.methods.parts.penalty import QuadraticPenalty


def test_value_and_gradient_equal_autograd() -> None:
    torch.manual_seed(0)
    weights = [torch.randn(3, 2), torch.randn(4)]
    penalty = QuadraticPenalty(weights)
    for importance in penalty.importance:
        importance.copy_(torch.rand_like(importance))
    moved = [(weight + torch.randn_like(weight)).requires_grad_() for weight in weights]
    value = 0.3 * sum(
        (importance * (w - anchor).square()).sum()
        for importance, w, anchor in zip(penalty.importance, moved, penalty.anchor, strict=True)
    )
    gradients = [torch.ones_like(weight) for weight in weights]
    found = penalty.add_gradient([w.detach() for w in moved], gradients, 0.3)
    torch.testing.assert_close(found, value.detach())  # type: ignore[union-attr]
    for gradient, expected in zip(gradients, torch.autograd.grad(value, moved), strict=True):  # type: ignore[arg-type]
        torch.testing.assert_close(gradient, 1 + expected)


def test_its_state_is_saved() -> None:
    penalty = QuadraticPenalty([torch.ones(2)])
    penalty.importance[0].fill_(3)
    other = QuadraticPenalty([torch.zeros(2)])
    other.load_state_dict(penalty.state_dict())
    assert other.importance[0].tolist() == [3, 3] and other.anchor[0].tolist() == [1, 1]
