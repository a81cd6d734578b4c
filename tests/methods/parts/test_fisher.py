"""The diagonal Fisher information: closed forms on two weights, and both ways of computing it."""

import pytest
import torch
from networks import EXAMPLES_ONE_BY_ONE, NETWORKS
from torch import Tensor, nn

from hnet_cl.core.seeding import stream
from hnet_cl.hypernet import trainable
from hnet_cl.methods.parts import example_gradients
from hnet_cl.methods.parts.example_gradients import fastest
from hnet_cl.methods.parts.fisher import diagonal_fisher
from hnet_cl.targets.bfloat16 import BFloat16
from hnet_cl.targets.mlp import MLP

X = torch.tensor([[1.0], [-0.5], [2.0], [0.3]])
Y = torch.tensor([0, 1, 1, 0])
BOTH = slice(0, 2)


def two_weights() -> nn.Linear:
    """Logits w x for one number x: the gradient of -log p(y) for w_k is (p_k - [y = k]) x."""
    network = nn.Linear(1, 2, bias=False)
    network.weight.data = torch.tensor([[0.7], [-0.4]])
    return network


def by_hand(labels: Tensor) -> Tensor:
    p = (X @ two_weights().weight.T).softmax(1).detach()
    wrong = p - nn.functional.one_hot(labels, 2)
    return (wrong * X).square().mean(0)[:, None]


def test_predicted_and_true_labels() -> None:
    predicted = (X @ two_weights().weight.T).argmax(1)
    assert predicted.tolist() != Y.tolist()
    for kind, labels in (("predicted", predicted), ("true", Y)):
        (found,) = diagonal_fisher(two_weights(), [(X, Y)], BOTH, kind, stream(1))  # type: ignore[arg-type]
        torch.testing.assert_close(found, by_hand(labels))


def test_expected_labels_are_the_exact_diagonal() -> None:
    p = (X @ two_weights().weight.T).softmax(1).detach()
    variance = p[:, 0] * p[:, 1]  # of the label, given x: both weights see it
    (found,) = diagonal_fisher(two_weights(), [(X, Y)], BOTH, "expected", stream(1))
    torch.testing.assert_close(found, (variance * X[:, 0].square()).mean().expand(2, 1))


def test_sampled_labels_average_to_the_expected_ones() -> None:
    many = [(X.repeat(2000, 1), Y.repeat(2000))]
    (sampled,) = diagonal_fisher(two_weights(), many, BOTH, "sampled", stream(1))
    (expected,) = diagonal_fisher(two_weights(), [(X, Y)], BOTH, "expected", stream(1))
    # 8,000 draws of a number below 4: the standard error is about 1 % here
    torch.testing.assert_close(sampled, expected, rtol=0.06, atol=0)


def test_batches_of_any_size_give_the_same() -> None:
    whole = diagonal_fisher(two_weights(), [(X, Y)], BOTH, "true", stream(1))
    parts = diagonal_fisher(two_weights(), [(X[:1], Y[:1]), (X[1:], Y[1:])], BOTH, "true", stream(1))
    torch.testing.assert_close(parts, whole)


def test_outputs_beyond_the_softmax_have_none() -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 4)
    inputs, labels = torch.randn(6, 3), torch.randint(2, (6,))
    weight, bias = diagonal_fisher(network, [(inputs, labels)], slice(2, 4), "true", stream(1))
    assert weight[:2].eq(0).all() and weight[2:].gt(0).all()
    assert bias[:2].eq(0).all() and bias[2:].gt(0).all()


def one_at_a_time(network: nn.Module, inputs: Tensor, labels: Tensor) -> list[Tensor]:
    total = [torch.zeros_like(parameter) for parameter in network.parameters()]
    for x, y in zip(inputs, labels, strict=True):
        loss = nn.functional.cross_entropy(network(x[None]), y[None])
        gradients = torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True)
        for sums, gradient in zip(total, gradients, strict=True):
            sums += gradient.square()
    return [sums / len(inputs) for sums in total]


def convnet() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3))


def one_weight_for_two() -> nn.Module:
    first, second = nn.Linear(36, 36), nn.Linear(36, 36)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), first, nn.Tanh(), second, nn.Linear(36, 3))


@pytest.mark.parametrize(
    "kind", ["mlp", "in place", "convnet", "a layer used twice", "one weight for two", "weight norm"]
)
def test_equals_gradients_of_single_examples(kind: str) -> None:
    torch.manual_seed(0)
    inputs, labels = torch.randn(20, 1, 6, 6), torch.randint(3, (20,))
    twice = nn.Linear(36, 36)
    networks = {
        "mlp": MLP((1, 6, 6), 3, [8, 7]),
        "convnet": convnet(),
        "in place": nn.Sequential(nn.Flatten(), nn.Linear(36, 9), nn.ReLU(inplace=True), nn.Linear(9, 3)),
        "one weight for two": one_weight_for_two(),
        "weight norm": nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(36, 3))),
        "a layer used twice": nn.Sequential(nn.Flatten(), twice, nn.Tanh(), twice, nn.Linear(36, 3)),
    }
    network = networks[kind]
    way, _ = fastest(network, inputs[:2])
    assert way is (example_gradients.of_linear_layers if kind in ("mlp", "in place") else example_gradients.at_once)
    found = diagonal_fisher(network, [(inputs, labels)], slice(0, 3), "true", stream(1))
    for new, expected in zip(found, one_at_a_time(network, inputs, labels), strict=True):
        torch.testing.assert_close(new, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_way_gives_the_same(kind: str) -> None:
    network, inputs = NETWORKS[kind](3), torch.randn(5, 2)
    way, reason = fastest(network, inputs)
    assert (reason is not None) == (way is example_gradients.one_by_one) == (kind in EXAMPLES_ONE_BY_ONE)
    if kind == "dropout always":
        return  # each time something else
    labels = torch.randint(3, (5,))
    slow = diagonal_fisher(network, [(inputs, labels)], slice(0, 3), "true", stream(1), example_gradients.one_by_one)
    fast = diagonal_fisher(network, [(inputs, labels)], slice(0, 3), "true", stream(1), way)
    assert [values.shape for values in fast] == [parameter.shape for parameter in trainable(network).values()]
    for one, other in zip(slow, fast, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_short_way_is_not_taken_where_it_would_be_wrong() -> None:
    assert fastest(NETWORKS["weight used elsewhere"](3), torch.randn(2, 2)) == (example_gradients.at_once, None)
    assert fastest(NETWORKS["frozen part"](3), torch.randn(2, 2)) == (example_gradients.of_linear_layers, None)
    assert fastest(NETWORKS["unused layers"](3), torch.randn(2, 2)) == (example_gradients.at_once, None)


def test_large_batches_in_parts() -> None:
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 2)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.layer(part) for part in x.split(2)])

    inputs, labels = torch.tensor([[0.5], [0.2], [2.0]]), torch.tensor([0, 1, 1])
    network = Halves()
    way, _ = fastest(network, inputs[:2])
    assert way is example_gradients.of_linear_layers
    found = diagonal_fisher(network, [(inputs, labels)], BOTH, "true", stream(1), way)
    for new, expected in zip(found, one_at_a_time(network, inputs, labels), strict=True):
        torch.testing.assert_close(new, expected)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.PReLU()], ids=["linear layers", "any network"])
def test_exact_for_a_network_in_bfloat16(activation: nn.Module) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(1, 5), activation, nn.Linear(5, 2))
    exact, rounded = (diagonal_fisher(one, [(X, Y)], BOTH, "true", stream(1)) for one in (network, BFloat16(network)))
    assert all(map(torch.equal, exact, rounded))
