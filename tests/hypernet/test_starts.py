"""Generated weights that start as large as each tensor needs, and a regulariser that stays exact."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import sqrt
from typing import Any

import pytest
import torch
from builders import moved
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hnet_cl.core.hollow import hollow
from hnet_cl.datasets._torchvision import import_torchvision
from hnet_cl.hypernet import (
    BlockRegularizer,
    ExplicitRegularizer,
    GramRegularizer,
    Hypernetwork,
    Interval,
    Layout,
    OutputRegularizer,
    RegularizedTraining,
    Start,
    chunk_size_for,
    layout_for,
    operations_per_old_task,
)
from hnet_cl.hypernet.chunks import AlignedBlocks, Chunks
from hnet_cl.hypernet.sizing import num_parameters

CODES = {"task_embedding": 32, "chunk_embedding": 32}  # official code, ResNet-32
SMALL = {"w": Start(0.0, 0.3), "b": Start(1.0, 0.02), "scale": Start(-2.0, 0.5)}
SHAPES = {"w": torch.Size((4, 3)), "b": torch.Size((5,)), "scale": torch.Size(())}


def small(hidden: Sequence[int] = (6,), chunk_size: int | None = 5, tasks: int = 3, seed: int = 0) -> Hypernetwork:
    """Tensors of 12, 5 and 1 numbers: without chunks, or in 3, 1 and 1 of at most five."""
    torch.manual_seed(seed)
    layout, codes = Layout(SHAPES, SMALL), {"task_embedding": 3, "chunk_embedding": 2}
    made = Hypernetwork(layout, tasks, **codes, hidden=hidden, chunk_size=chunk_size, activation="tanh").double()
    for parameter in made.theta.values():  # biases too
        nn.init.normal_(parameter, std=0.5)
    return made


def official(module: nn.Module, init: Any, hidden: Sequence[int] = (), **given: Any) -> Hypernetwork:
    """A hypernetwork with half as many parameters as the module."""
    torch.manual_seed(3)
    layout = layout_for(module, init)
    size = chunk_size_for(0.5, layout.total, 3, **CODES, hidden=hidden, pieces=layout.sizes)
    return Hypernetwork(layout, 3, **CODES, hidden=hidden, **({"chunk_size": size} | given))


@contextmanager
def constructors() -> Iterator[Any]:
    """Networks of torchvision."""
    torch.manual_seed(5)
    yield import_torchvision().models


def transformer(models: Any, layers: int, width: int, heads: int, image: int = 32) -> nn.Module:
    sizes = {"image_size": image, "patch_size": 4, "num_layers": layers, "num_heads": heads, "hidden_dim": width}
    made: nn.Module = models.vision_transformer.VisionTransformer(**sizes, mlp_dim=4 * width, num_classes=10)
    return made


def assert_as_large(hypernetwork: Hypernetwork, module: nn.Module) -> None:
    """Every task's tensors have the deviation that the module's own have; gains are near 1, biases near 0."""
    own = dict(module.named_parameters())
    with torch.no_grad():
        for task in range(3):
            for name, tensor in hypernetwork.layout.split(hypernetwork(task)).items():
                gain = 0.0 if name.endswith("bias") or tensor.dim() > 1 else 1.0
                needed = own[name].std().item() if tensor.dim() > 1 and own[name].std() > 0 else 0.02
                if tensor.numel() > 1000:
                    assert 0.8 < tensor.std().item() / needed < 1.25, name
                assert tensor.mean().item() == pytest.approx(gain, abs=needed), name
                assert (tensor - gain).abs().max() < 6 * needed, name


@pytest.mark.slow
def test_tensors_of_resnet18_start_as_large_as_its_own() -> None:
    with constructors() as models:
        network = models.resnet18(num_classes=10)
    assert_as_large(official(network, "fan_in"), network)


def test_those_of_a_small_transformer_too() -> None:
    with constructors() as models:
        network = transformer(models, layers=2, width=96, heads=3)
    made = official(network, "fan_in")
    assert_as_large(made, network)
    assert_as_large(official(network, "fan_in", hidden=(200, 300)), network)
    official_start = official(network, "xavier")
    assert official_start.scales is None and "scales" not in official_start.state_dict()
    with pytest.raises(AssertionError):  # the gains, for one
        assert_as_large(official_start, network)


@pytest.mark.slow
def test_those_of_resnet50_and_of_a_vit_s() -> None:
    with constructors() as models:
        for network in (models.resnet50(num_classes=10), transformer(models, layers=12, width=384, heads=6)):
            assert_as_large(official(network, "fan_in"), network)


def test_without_chunks_too() -> None:
    with constructors() as models:
        network = transformer(models, layers=1, width=24, heads=2, image=8)
    made = official(network, "fan_in", chunk_size=None)
    assert made.num_chunks == 1 and made.scales is None
    assert_as_large(made, network)


def test_hyperfan_is_the_published_variance() -> None:
    network = nn.Sequential(
        nn.Conv2d(8, 40, 3), nn.BatchNorm2d(40), nn.Conv2d(40, 30, 1, bias=False), nn.Flatten(), nn.Linear(30, 10)
    )
    starts = layout_for(network, "hyperfan").starts
    assert starts is not None
    assert starts["0.weight"] == (0.0, sqrt(1 / 72)) and starts["0.bias"] == (0.0, 1.0)
    assert starts["1.weight"] == (1.0, 0.02) and starts["1.bias"] == (0.0, 0.02)
    assert starts["2.weight"] == (0.0, sqrt(2 / 40)) and "2.bias" not in starts
    named = official(network, "hyperfan").layout.split(official(network, "hyperfan")(0))
    assert named["0.weight"].std().item() == pytest.approx(sqrt(1 / 72), rel=0.1)
    assert named["2.weight"].std().item() == pytest.approx(sqrt(2 / 40), rel=0.1)


def test_the_official_start_draws_the_same_numbers_as_before() -> None:
    network = nn.Linear(7, 5)
    given = layout_for(network, "xavier")
    made = Hypernetwork(given, 2, task_embedding=3, hidden=[4], chunk_size=9, chunk_embedding=2)
    torch.manual_seed(1)
    made.reset_parameters()
    torch.manual_seed(1)
    layers = nn.init.xavier_uniform_(torch.empty(4, 5)), nn.init.xavier_uniform_(torch.empty(4, 9))
    embeddings = [torch.randn(3), torch.randn(3), torch.randn(5, 2)]
    found = made.trunk[0].weight, made.head[:-1], *made.task_embeddings, made.chunk_embeddings
    assert given.starts is None and all(map(torch.equal, found, [*layers, *embeddings]))


def test_chunks_do_not_straddle_tensors() -> None:
    chunks = Chunks((12, 5, 1), 5)
    assert (chunks.counts, chunks.number, chunks.cuts) == ([3, 1, 1], 5, [2, 1])
    assert chunks.in_blocks([(0, 18)]) == [(0, 12), (15, 20), (20, 21)]
    assert chunks.in_blocks([(3, 4), (11, 14), (17, 18)]) == [(3, 4), (11, 12), (15, 17), (20, 21)]
    assert Chunks((18,), 5).in_blocks([(2, 3), (7, 18)]) == [(2, 3), (7, 18)]
    blocks = torch.arange(50.0).view(2, 5, 5)
    flat = chunks.joined(blocks)
    assert flat[0].tolist() == [*range(12), *range(15, 20), 20]
    again = chunks.separated(flat)
    used = torch.tensor([1.0] * 12 + [0] * 3 + [1] * 6 + [0] * 4).view(5, 5)
    assert torch.equal(again, blocks * used)


def test_weights_are_those_of_the_formula() -> None:
    made = small()
    assert made.scales is not None and made.offsets is not None
    for task in range(3):
        tensors = []
        for name, chunks in (("w", (0, 1, 2)), ("b", (3,)), ("scale", (4,))):
            blocks = []
            for k in chunks:
                code = torch.cat([made.task_embeddings[task], made.chunk_embeddings[k]])
                phi = (made.trunk[0].weight @ code + made.trunk[0].bias).tanh()
                blocks.append(made.scales[k] * (made.head[:-1].T @ phi + made.head[-1]) + SMALL[name].mean)
            tensors.append(torch.cat(blocks)[: SHAPES[name].numel()])
        torch.testing.assert_close(made(task), torch.cat(tensors), rtol=1e-6, atol=1e-6)  # scales are of float32


def test_gradients_are_autograds() -> None:
    made = small((), 5)
    features = made.features(made.embeddings([0, 2])).detach()
    head = made.head.detach().clone().requires_grad_()
    constant = features[..., -1:].clone()

    def generated(phi: Tensor, head: Tensor) -> Tensor:
        weights: Tensor = AlignedBlocks.apply(torch.cat([phi, constant], 2), head, made.offsets, made.chunks)
        return weights

    assert torch.autograd.gradcheck(generated, (features[..., :-1].clone().requires_grad_(), head))


def test_weights_are_linear_in_features_with_offsets() -> None:
    """As rules that infer tasks by the slopes of the weights need it."""
    made = small()
    first, second = made.features(made.embeddings([0])), made.features(made.embeddings([1]))
    difference = made.generate(first - second)
    torch.testing.assert_close(difference, made.generate(first) - made.generate(second))


def value_and_gradients(regularizer: OutputRegularizer, theta: dict[str, Tensor]) -> list[Tensor]:
    value = regularizer(theta)
    found = torch.autograd.grad(value, list(theta.values()), allow_unused=True)
    gradients = (torch.zeros_like(t) if g is None else g for g, t in zip(found, theta.values(), strict=True))
    return [value.detach(), *gradients]


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    interval = st.integers(0, 17).flatmap(lambda a: st.tuples(st.just(a), st.integers(a + 1, 18)))
    masks = st.lists(st.lists(interval, min_size=1, max_size=3), min_size=3, max_size=3)
    return {
        "hidden": draw(st.sampled_from([(), (6,), (4, 5)])),
        "chunk_size": draw(st.none() | st.integers(1, 20)),
        "seed": draw(st.integers(0, 10**6)),
        "plastic": draw(st.booleans()),
        "kept": draw(st.none() | masks),
    }


@given(cases())
@settings(max_examples=25, deadline=None)
def test_every_form_of_the_regulariser_is_the_explicit_sum(case: dict[str, Any]) -> None:
    made = small(case["hidden"], case["chunk_size"], 4, case["seed"])
    made.plastic = case["plastic"]
    kept: Sequence[Sequence[Interval]] | None = case["kept"]
    kinds = (ExplicitRegularizer, GramRegularizer, BlockRegularizer)
    regularizers = [kind(made, range(3), kept) for kind in kinds]
    theta = moved(made.held(3), 0.3)
    explicit, *others = (value_and_gradients(regularizer, theta) for regularizer in regularizers)
    assert explicit[0] > 0
    for found in others:
        torch.testing.assert_close(found, explicit, rtol=1e-9, atol=1e-11)


def test_the_regulariser_by_hand() -> None:
    """Two tensors with the scales 2 and 10: a drift of the last layer's biases by 1 is one of 2 and of 10 there."""
    layout = Layout({"w": torch.Size((3,)), "b": torch.Size((2,))}, {"w": Start(0.0, 1.0), "b": Start(0.0, 1.0)})
    made = Hypernetwork(layout, 2, task_embedding=1, hidden=[], chunk_size=2, chunk_embedding=1)
    assert made.scales is not None
    made.scales.copy_(torch.tensor([2.0, 2.0, 10.0]))
    regularizer = GramRegularizer(made, range(2))
    theta = {name: p.detach().clone() for name, p in made.theta.items()}
    theta["head"][-1] += torch.tensor([1.0, 3.0])
    # w drifts by 2, 6 and, in a block of which one number is used, 2; b by 10 and 30
    assert regularizer(theta).item() == pytest.approx(4 + 36 + 4 + 100 + 900)


def test_training_is_that_with_the_explicit_sum() -> None:
    nets = [small(()) for _ in range(2)]
    kinds = (GramRegularizer, ExplicitRegularizer)
    steps = [
        RegularizedTraining(net, 2, lambda p: torch.optim.Adam(p, lr=0.05), 0.5, regularizer=kind)
        for net, kind in zip(nets, kinds, strict=True)
    ]
    for _ in range(4):
        values = [step((net(2) - 1).square().sum())["regularizer"] for step, net in zip(steps, nets, strict=True)]
        torch.testing.assert_close(values[0], values[1], rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(list(nets[0].parameters()), list(nets[1].parameters()), rtol=1e-8, atol=1e-10)


def test_the_state_holds_scales_and_offsets() -> None:
    first, second = small(seed=1), small(seed=2)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(1), second(1))
    first.generate_zeros()
    assert not first(1).any()


def test_it_is_built_without_values() -> None:
    with hollow():
        layout = layout_for(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), "fan_in")
        for chunk_size in (5, None):
            made = Hypernetwork(layout, 2, task_embedding=3, hidden=[4], chunk_size=chunk_size, chunk_embedding=2)
            assert made.head.is_meta and made.num_chunks == (6 if chunk_size else 1)


def test_the_size_for_a_compression_counts_all_chunks() -> None:
    pieces = [700, 40, 3, 3, 300]
    sizes: dict[str, Any] = {"task_embedding": 4, "chunk_embedding": 4, "hidden": [8]}
    size = chunk_size_for(0.8, sum(pieces), 2, **sizes, pieces=pieces)
    layout = Layout(
        {str(i): torch.Size((n,)) for i, n in enumerate(pieces)}, {str(i): Start(0.0, 1.0) for i in range(5)}
    )
    real = sum(p.numel() for p in Hypernetwork(layout, 2, chunk_size=size, **sizes).parameters())
    assert num_parameters(sum(pieces), 2, chunk_size=size, **sizes, pieces=pieces) == real <= 0.8 * sum(pieces)
    largest = Hypernetwork(layout, 2, chunk_size=5000, **sizes)
    assert (largest.block_size, largest.num_chunks) == (700, 5)
    counted = num_parameters(sum(pieces), 2, chunk_size=5000, **sizes, pieces=pieces)
    assert counted == sum(p.numel() for p in largest.parameters())
    assert num_parameters(sum(pieces), 2, chunk_size=size + 10, **sizes, pieces=pieces) > 0.8 * sum(pieces)


@pytest.mark.parametrize("hidden", [(), (6,)])
def test_operations_count_the_chunks_that_tensors_cut(hidden: tuple[int, ...]) -> None:
    counted = []
    for tasks in (1, 21):
        made = small(hidden, 5, tasks).float()
        regularizer = GramRegularizer(made, range(tasks))
        with FlopCounterMode(display=False) as counter:
            regularizer(made.theta).backward()
        counted.append(counter.get_total_flops())
    trunk = 6 * 5 * 2 * 6 if hidden else 0  # of tasks apart, chunks are the same
    assert (counted[1] - counted[0]) / 20 == pytest.approx(operations_per_old_task(made), abs=trunk)
