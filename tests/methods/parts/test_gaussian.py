"""Regression with a variance that is learned: loss, gradient, minimum and Fisher information in closed form."""

from math import exp, log

import pytest
import torch
from builders import head_map
from torch import Tensor, nn

from hnet_cl.core.scores import MSE, NMSE
from hnet_cl.core.seeding import stream
from hnet_cl.methods.parts.fisher import diagonal_fisher
from hnet_cl.methods.parts.objective import OBJECTIVES, GaussianRegression, exact_noise, objective_of

WIDE = GaussianRegression(MSE, [-40, 40])  # log-variances are the outputs themselves
Y = torch.tensor([[1.0, 2.0], [0.0, -1.0], [0.5, 0.5]])
X = torch.tensor([[1.0], [-0.5], [2.0]])


def test_the_loss_is_the_negative_log_likelihood() -> None:
    """By hand, and torch's, which leaves out the same constant."""
    outputs = torch.tensor([[0.0, 2.0, 0.0, log(4)], [1.0, 1.0, log(2), log(8)]])
    each = WIDE.each(outputs, Y[:2])
    assert each.tolist() == pytest.approx([(1 + log(4)) / 2, (1 / 2 + log(2) + 4 / 8 + log(8)) / 2])
    assert WIDE.loss(outputs, Y[:2]).item() == pytest.approx(each.mean().item())
    means, log_variances = outputs.chunk(2, 1)
    torch.testing.assert_close(
        WIDE.loss(outputs, Y[:2]), 2 * nn.functional.gaussian_nll_loss(means, Y[:2], log_variances.exp())
    )


def test_the_gradient() -> None:
    outputs = torch.tensor([[0.0, 2.5, 0.3, -1.0]], requires_grad=True)
    WIDE.loss(outputs, Y[:1]).backward()
    by_hand = [-exp(-0.3), 0.5 * exp(1.0), (1 - exp(-0.3)) / 2, (1 - 0.25 * exp(1.0)) / 2]
    assert outputs.grad is not None and outputs.grad[0].tolist() == pytest.approx(by_hand, rel=1e-5)


def test_bounds_are_approached_softly() -> None:
    objective = GaussianRegression(MSE, [-2, 1])
    free = torch.tensor([[-100.0, -2.0, 0.0, 1.0, 100.0]], requires_grad=True)
    _, found = objective.split(torch.cat([torch.zeros(1, 5), free], 1))
    low, high = found[0, 0].item(), found[0, -1].item()
    assert low == pytest.approx(-2) and high == pytest.approx(-2 + log(1 + exp(3)))
    below = 1 - log(1 + exp(1))
    assert found[0, 2].item() == pytest.approx(-2 + log(1 + exp(below + 2)))
    assert bool((found.diff() > 0).all())
    found.sum().backward()
    assert free.grad is not None
    slope = 1 / (1 + exp(-1)) / (1 + exp(-below - 2))
    assert free.grad[0].tolist() == pytest.approx([0, free.grad[0, 1].item(), slope, free.grad[0, 3].item(), 0])


def test_the_minimum_is_at_mean_and_variance_of_the_labels() -> None:
    labels = torch.randn(50, 3, generator=stream(1)).double() * torch.tensor([0.1, 1.0, 5.0]) + 2
    outputs = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([outputs], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-9)
    objective = GaussianRegression(MSE, [-10, 6])

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = objective.loss(outputs.expand(50, 6), labels)
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    means, log_variances = objective.split(outputs.detach()[None])
    torch.testing.assert_close(means[0], labels.mean(0), rtol=0, atol=1e-5)
    torch.testing.assert_close(log_variances[0].exp(), labels.var(0, correction=0), rtol=1e-5, atol=0)
    assert loss().item() == pytest.approx((1 + labels.var(0, correction=0).log()).sum().item() / 2)


def test_of_a_variance_of_d_over_two_it_is_the_squared_error() -> None:
    means = torch.tensor([[0.3, 0.1], [1.0, -1.0], [0.0, 2.0]])
    fixed = torch.full_like(means, log(2 / 2))
    squared = OBJECTIVES["mse"].each(means, Y)
    torch.testing.assert_close(WIDE.each(torch.cat([means, fixed], 1), Y), squared)


def test_each_example_under_the_outputs_of_its_task() -> None:
    outputs = torch.arange(24.0).view(3, 8) / 10
    found = WIDE.each(outputs, Y, torch.tensor([0, 4, 4]))
    expected = [WIDE.each(outputs[i : i + 1, start : start + 4], Y[i : i + 1]) for i, start in enumerate((0, 4, 4))]
    torch.testing.assert_close(found, torch.cat(expected))


def test_answers_and_scores_are_those_of_the_means() -> None:
    outputs = torch.cat([Y + torch.tensor([0.1, -0.3]), torch.randn(3, 2, generator=stream(1))], 1)
    heads = head_map("cl1", (4, 4))
    answers = WIDE.predicted(outputs, 4)
    assert torch.equal(answers, outputs[:, :2]) and WIDE.answer_form(3, heads) == (answers.dtype, tuple(answers.shape))
    for score, variance in ((MSE, torch.ones(2)), (NMSE, Y.double().var(0, correction=0))):
        objective = GaussianRegression(score, [-10, 0.5])
        found = objective.mean(objective.points(answers, Y, heads, 1), Y)
        assert found == pytest.approx(((0.01 / variance[0] + 0.09 / variance[1]) / 2).item(), rel=1e-5)


def test_which_objective_there_is() -> None:
    assert objective_of(NMSE, None, [-10, 0.5]) is OBJECTIVES["nmse"]
    chosen = objective_of(NMSE, "gaussian", [-10, 0.5])
    assert isinstance(chosen, GaussianRegression) and chosen.score is NMSE and chosen.num_outputs(3) == 6
    assert OBJECTIVES["nmse"].num_outputs(3) == 3


class Scaled(nn.Module):
    """All outputs are c x times the same weight, so that products of different outputs' gradients would show."""

    def __init__(self, scales: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.6]))
        self.scales = torch.tensor(scales)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight * self.scales


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_expected_labels_are_the_exact_diagonal(width: int) -> None:
    """Of independent Gaussians: the sum over k of (dm_k/dw)^2 exp(-s_k) + (ds_k/dw)^2 / 2."""
    network = Scaled([0.5 + 0.3 * k for k in range(width)] + [-1.0 + 0.7 * k for k in range(width)])
    outputs = network(X).detach()
    slopes = X * network.scales
    by_hand = slopes[:, :width].square() * (-outputs[:, width:]).exp() + slopes[:, width:].square() / 2
    labels = torch.zeros(3, width)
    (found,) = diagonal_fisher(network, [(X, labels)], slice(0, 2 * width), "expected", stream(1), objective=WIDE)
    torch.testing.assert_close(found, by_hand.sum(1).mean()[None])


def test_labels_of_the_data_and_drawn_ones() -> None:
    network, outputs = Scaled([1.0, 0.5, -1.0, 0.3]), slice(0, 4)
    (true,) = diagonal_fisher(network, [(X, Y)], outputs, "true", stream(1), objective=WIDE)
    gradients = []
    for x, y in zip(X, Y, strict=True):
        network.zero_grad()
        WIDE.loss(network(x[None]), y[None]).backward()
        assert network.weight.grad is not None
        gradients.append(network.weight.grad.item() ** 2)
    assert true.item() == pytest.approx(sum(gradients) / 3, rel=1e-5)
    many = X.repeat(2000, 1)
    (drawn,) = diagonal_fisher(network, [(many, Y.repeat(2000, 1))], outputs, "sampled", stream(1), objective=WIDE)
    (exact,) = diagonal_fisher(network, [(X, Y)], outputs, "expected", stream(1), objective=WIDE)
    assert drawn.item() == pytest.approx(exact.item(), rel=0.08)


def test_the_noise_has_the_moments_that_count() -> None:
    for width in (1, 2, 3, 4, 7):
        noise, weight = exact_noise(width)
        squares = noise.square() - 1
        torch.testing.assert_close(weight * noise.T @ noise, torch.eye(width), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(weight * squares.T @ squares, 2 * torch.eye(width), atol=1e-5, rtol=1e-5)
        assert (weight * noise.T @ squares).abs().max() < 1e-5
