"""Losses, answers, Fisher information and scores of regression, in closed form."""

import pytest
import torch
from builders import head_map
from torch import nn

from hnet_cl.core.scores import SCORES
from hnet_cl.core.seeding import stream
from hnet_cl.methods.parts import example_gradients
from hnet_cl.methods.parts.distillation import masks, only
from hnet_cl.methods.parts.example_gradients import fastest
from hnet_cl.methods.parts.fisher import diagonal_fisher
from hnet_cl.methods.parts.objective import CLASSIFICATION, OBJECTIVES
from hnet_cl.targets.mlp import MLP

MSE, NMSE = OBJECTIVES["mse"], OBJECTIVES["nmse"]
X = torch.tensor([[1.0], [-0.5], [2.0]])
Y = torch.tensor([[1.0, 2.0], [0.0, -1.0], [0.5, 0.5]])
BOTH = slice(0, 2)


def two_numbers() -> nn.Linear:
    """Predicts w x, two numbers from one: the mean squared error has the gradient (w_k x - y_k) x for w_k."""
    network = nn.Linear(1, 2, bias=False)
    network.weight.data = torch.tensor([[0.7], [-0.4]])
    return network


def test_every_score_has_its_objective() -> None:
    assert {name: objective.score for name, objective in OBJECTIVES.items()} == dict(SCORES)
    assert OBJECTIVES["accuracy"] is CLASSIFICATION


def test_the_loss_is_the_mean_squared_error() -> None:
    outputs = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 2.5]])
    assert MSE.loss(outputs, Y).item() == pytest.approx((4 + 4 + 4) / 6)
    assert MSE.each(outputs, Y).tolist() == [2, 2, 2]


def test_each_example_under_the_outputs_of_its_task() -> None:
    """What joint training does: outputs of other tasks are masked, and get no gradient."""
    outputs = torch.arange(12.0).view(3, 4).requires_grad_()
    tasks = torch.tensor([0, 1, 1])
    allowed = masks([slice(0, 2), slice(2, 4)], 4, torch.device("cpu"))
    loss = MSE.loss(only(outputs, allowed[tasks]), Y, torch.tensor([0, 2])[tasks])
    own = torch.tensor([[0.0, 1.0], [6.0, 7.0], [10.0, 11.0]])
    assert loss.item() == pytest.approx(nn.functional.mse_loss(own, Y).item())
    loss.backward()
    expected = torch.zeros(3, 4)
    expected[0, :2], expected[1:, 2:] = (own - Y)[0] / 3, (own - Y)[1:] / 3
    torch.testing.assert_close(outputs.grad, expected)


def test_scores() -> None:
    heads, answers = head_map("cl1", (2, 2)), Y + torch.tensor([0.1, -0.3])
    for objective in (MSE, NMSE):
        parts = [objective.points(answers[part], Y[part], heads, 1) for part in (slice(0, 1), slice(1, 3))]
        variance = Y.double().var(0, correction=0) if objective is NMSE else torch.ones(2)
        expected = (0.01 / variance[0] + 0.09 / variance[1]) / 2
        assert objective.mean(sum(parts), Y) == pytest.approx(expected.item(), rel=1e-6)


def test_predicting_the_mean_has_an_nmse_of_one() -> None:
    mean = Y.mean(0).expand(3, 2)
    assert NMSE.mean(NMSE.points(mean, Y, head_map("cl1", (2,)), 0), Y) == pytest.approx(1)


def test_fisher_of_the_datas_labels() -> None:
    (found,) = diagonal_fisher(two_numbers(), [(X, Y)], BOTH, "true", stream(1), objective=MSE)
    wrong = X @ two_numbers().weight.detach().T - Y
    torch.testing.assert_close(found, (wrong * X).square().mean(0)[:, None])


def test_expected_labels_are_the_exact_diagonal() -> None:
    """-log p is the loss (1/2) sum_k (w_k x - y_k)^2, so the variance is 1, and the information E[x^2]."""
    (found,) = diagonal_fisher(two_numbers(), [(X, Y)], BOTH, "expected", stream(1), objective=MSE)
    torch.testing.assert_close(found, X.square().mean().expand(2, 1))


def test_sampled_labels_average_to_the_expected_ones() -> None:
    many = [(X.repeat(4000, 1), Y.repeat(4000, 1))]
    (found,) = diagonal_fisher(two_numbers(), many, BOTH, "sampled", stream(1), objective=MSE)
    torch.testing.assert_close(found, X.square().mean().expand(2, 1), rtol=0.06, atol=0)


def test_the_predicted_label_has_no_information() -> None:
    (found,) = diagonal_fisher(two_numbers(), [(X, Y)], BOTH, "predicted", stream(1), objective=MSE)
    assert found.abs().max() == 0


def test_all_ways_agree() -> None:
    network = MLP((1,), 2, [4])
    way, reason = fastest(network, X[:2], MSE)
    assert (way, reason) == (example_gradients.of_linear_layers, None)
    fast, slow = (
        diagonal_fisher(network, [(X, Y)], BOTH, "true", stream(1), how, MSE)
        for how in (way, example_gradients.one_by_one)
    )
    torch.testing.assert_close(fast, slow)
