"""The hypernetwork against its formula, the sizes of the paper's experiments, and its initialisation."""

from math import sqrt

import pytest
import torch
from builders import written_out
from torch import Tensor, nn

from hnet_cl.hypernet import ACTIVATIONS, Hypernetwork, Layout
from hnet_cl.hypernet.chunks import Blocks
from hnet_cl.targets.mlp import MLP

SMALL = Layout({"w": torch.Size((4, 3)), "b": torch.Size((5,)), "scale": torch.Size(())})  # 18 weights


def make(hidden: tuple[int, ...] = (6, 5), chunk_size: int | None = 7, activation: str = "tanh") -> Hypernetwork:
    """Three tasks on the small layout; biases are drawn too, so that none goes untested."""
    hypernetwork = Hypernetwork(
        SMALL, 3, task_embedding=4, hidden=hidden, activation=activation, chunk_size=chunk_size, chunk_embedding=2
    )
    for parameter in hypernetwork.parameters():
        nn.init.normal_(parameter)
    return hypernetwork


# official code: target (inputs, hidden, outputs); tasks; embeddings; hidden; chunk -> N, chunks, all parameters
SPLIT = (96, 96, (10, 10), 42_000)
PERMUTED = (24, 8, (25, 25), 78_000)
LONG = (128, 12, (200, 250, 350), 7_500)
SIZES = {
    "split": ((784, [400, 400], 10), 5, SPLIT, (478_410, 12, 465_672)),
    "split cl2": ((784, [400, 400], 2), 5, SPLIT, (475_202, 12, 465_672)),
    "permuted": ((1024, [1000, 1000], 100), 10, PERMUTED, (2_126_100, 28, 2_029_939)),
    "permuted cl2": ((1024, [1000, 1000], 10), 10, PERMUTED, (2_036_010, 27, 2_029_931)),
    "permuted 100": ((1024, [1000, 1000], 1000), 100, LONG, (3_027_000, 404, 2_816_448)),
    "permuted 100 cl2": ((1024, [1000, 1000], 10), 100, LONG, (2_036_010, 272, 2_814_864)),
    "permuted 250": ((1024, [1000, 1000], 2500), 250, (*LONG[:3], 12_000), (4_528_500, 378, 4_414_836)),
    "small permuted": ((1024, [100, 100], 100), 10, (64, 12, (100, 75, 50), 2_000), (122_700, 62, 122_459)),
    "toy, not chunked": ((1, [10, 10], 1), 3, (2, 0, (10, 10), None), (141, 1, 1_697)),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_of_the_official_networks(name: str) -> None:
    (inputs, units, outputs), tasks, (task_size, chunk_code, hidden, chunk_size), expected = SIZES[name]
    with torch.device("meta"):
        hypernetwork = Hypernetwork(
            Layout.of(MLP((inputs,), outputs, units)),
            tasks,
            task_embedding=task_size,
            hidden=hidden,
            chunk_size=chunk_size,
            chunk_embedding=chunk_code,
        )
    total = sum(parameter.numel() for parameter in hypernetwork.parameters())
    assert (hypernetwork.layout.total, hypernetwork.num_chunks, total) == expected


def test_theta_is_everything_but_the_task_embeddings() -> None:
    hypernetwork = make()
    everything = dict(hypernetwork.named_parameters())
    assert everything.keys() - hypernetwork.theta.keys() == {f"task_embeddings.{i}" for i in range(3)}
    assert all(parameter is everything[name] for name, parameter in hypernetwork.theta.items())


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
@pytest.mark.parametrize("chunk_size", [None, 1, 6, 7, 18, 30])
def test_weights_are_those_of_the_formula(hidden: tuple[int, ...], chunk_size: int | None, activation: str) -> None:
    hypernetwork = make(hidden, chunk_size, activation)
    expected = [written_out(hypernetwork, hypernetwork.theta, e) for e in hypernetwork.task_embeddings]
    for task in range(3):
        weights = hypernetwork(task)
        assert weights.shape == (18,)
        torch.testing.assert_close(weights, expected[task])
    together = hypernetwork.generate(hypernetwork.features(hypernetwork.embeddings([2, 0])))
    torch.testing.assert_close(together, torch.stack([expected[2], expected[0]]))


def test_another_theta_can_be_handed_in() -> None:
    hypernetwork, other = make(), make()
    features = hypernetwork.features(hypernetwork.embeddings([1]), other.theta)
    expected = written_out(hypernetwork, other.theta, hypernetwork.task_embeddings[1])
    torch.testing.assert_close(hypernetwork.generate(features, other.theta)[0], expected)


def test_without_chunks_it_is_one_linear_head_for_each_tensor() -> None:
    hypernetwork = make((6, 5), None)
    layers: list[nn.Module] = []
    for layer in hypernetwork.trunk:
        layers += [layer, nn.Tanh()]
    phi = nn.Sequential(*layers)(hypernetwork.task_embeddings[1])
    named = hypernetwork.layout.split(hypernetwork(1))
    for name, piece in zip(SMALL.shapes, hypernetwork.head.split(SMALL.sizes, dim=1), strict=True):
        head = nn.Linear(5, piece.shape[1])
        head.weight.data, head.bias.data = piece[:-1].T, piece[-1]
        torch.testing.assert_close(named[name].flatten(), head(phi))


@pytest.mark.parametrize("total", [9, 12, 3, 4, 1])  # cut, whole, one cut block, one whole block
def test_gradients_of_the_last_layer_are_autograds(total: int) -> None:
    chunks = -(-total // 4)
    features = torch.randn(2, chunks, 3, dtype=torch.float64, requires_grad=True)
    head = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, total, dtype=torch.float64)

    def naive(features: Tensor, head: Tensor) -> Tensor:
        return (features @ head).reshape(2, -1)[:, :total]

    torch.testing.assert_close(Blocks.apply(features, head, total), naive(features, head))
    ours = torch.autograd.grad((Blocks.apply(features, head, total) * weight).sum(), [features, head])
    theirs = torch.autograd.grad((naive(features, head) * weight).sum(), [features, head])
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda *tensors: Blocks.apply(*tensors, total), (features, head))


def test_every_parameter_gets_the_gradient_of_the_formula() -> None:
    hypernetwork = make().double()
    weight = torch.randn(18, dtype=torch.float64)
    parameters = [*hypernetwork.theta.values(), hypernetwork.task_embeddings[1]]
    ours = torch.autograd.grad(hypernetwork(1) @ weight, parameters)
    formula = written_out(hypernetwork, hypernetwork.theta, hypernetwork.task_embeddings[1])
    theirs = torch.autograd.grad(formula @ weight, parameters)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def assert_xavier(matrix: Tensor) -> None:
    """Uniform in +-sqrt(6 / (rows + columns)): within the bounds, near them, and with that variance."""
    bound = sqrt(6 / sum(matrix.shape))
    assert 0.98 * bound < matrix.abs().max().item() <= bound
    assert matrix.std().item() == pytest.approx(bound / sqrt(3), rel=0.05)


@pytest.mark.parametrize("chunk_size", [1000, None])
def test_initialisation(chunk_size: int | None) -> None:
    layout = Layout({"w": torch.Size((60, 70)), "b": torch.Size((60,)), "v": torch.Size((30, 60))})
    hypernetwork = Hypernetwork(
        layout, 50, task_embedding=200, hidden=[80, 90], chunk_size=chunk_size, chunk_embedding=300
    )
    for layer in hypernetwork.trunk:
        assert isinstance(layer, nn.Linear)
        assert_xavier(layer.weight)
        assert not layer.bias.any()
    for piece in hypernetwork.head[:-1].split(chunk_size or layout.sizes, dim=1):
        assert_xavier(piece)
    assert not hypernetwork.head[-1].any()
    of_chunks = [hypernetwork.chunk_embeddings] if chunk_size else []  # without chunks it is empty
    for embedding in (torch.stack(list(hypernetwork.task_embeddings)), *of_chunks):
        assert embedding.mean().item() == pytest.approx(0, abs=0.1)
        assert embedding.std().item() == pytest.approx(1, abs=0.05)


def test_state_dict_makes_an_equal_hypernetwork() -> None:
    first, second = make(), make()
    assert not torch.equal(first(1), second(1))
    second.load_state_dict(first.state_dict())
    assert all(torch.equal(first(task), second(task)) for task in range(3))


def test_generated_zeros_leave_zero_at_the_first_step() -> None:
    hypernetwork = make()
    hypernetwork.generate_zeros()
    assert all(not hypernetwork(task).any() for task in range(3))
    hypernetwork(1).sum().backward()
    gradients = {name: parameter.grad for name, parameter in hypernetwork.theta.items()}
    features = hypernetwork.features(hypernetwork.embeddings([1]))[0]  # (K, H+1)
    expected = features.sum(0)[:, None].expand(-1, 7).clone()
    expected[:, 18 - 2 * 7 :] -= features[2][:, None]  # the last chunk has 4 of its 7 weights
    torch.testing.assert_close(gradients["head"], expected)
    assert not gradients["trunk.0.weight"].any()
