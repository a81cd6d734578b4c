"""Tasks and weights that a hypernetwork gains later: as if it had had them from the start, and nothing else changes."""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from math import prod, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from hnet_cl.hypernet import (
    BlockRegularizer,
    ExplicitRegularizer,
    GramRegularizer,
    Hypernetwork,
    IntervalHypernetwork,
    Layout,
    RegularizedTraining,
    Start,
    TargetNetwork,
)

STARTS = {"w": Start(0.0, 0.5), "v": Start(0.0, 0.2), "b": Start(1.0, 0.1)}
CHUNKED: dict[str, Any] = {"chunk_size": 7, "chunk_embedding": 2}
KINDS: Mapping[str, tuple[Any, bool, dict[str, Any]]] = {  # class, whether tensors have starts, sizes
    "linear": (Hypernetwork, False, {"hidden": [], **CHUNKED}),
    "hidden": (Hypernetwork, False, {"hidden": [6], **CHUNKED}),
    "in one piece": (Hypernetwork, False, {"hidden": [6]}),
    "linear, with starts": (Hypernetwork, True, {"hidden": [], **CHUNKED}),
    "hidden, with starts": (Hypernetwork, True, {"hidden": [6], **CHUNKED}),
    "in one piece, with starts": (Hypernetwork, True, {"hidden": [6]}),
    "boxes": (partial(IntervalHypernetwork, radius=0.5), False, {"hidden": [6], **CHUNKED}),
}


def layout_of(outputs: int, starts: bool = False) -> Layout:
    """A hidden layer's weights, and an output layer with so many rows."""
    shapes = {"w": (4, 3), "v": (outputs, 4), "b": (outputs,)}
    return Layout({name: torch.Size(shape) for name, shape in shapes.items()}, STARTS if starts else None)


def make(kind: str, tasks: int, outputs: int = 2) -> Hypernetwork:
    build, starts, sizes = KINDS[kind]
    torch.manual_seed(1)
    made: Hypernetwork = build(layout_of(outputs, starts), tasks, task_embedding=3, activation="tanh", **sizes).double()
    return made


def train(made: Hypernetwork, task: int, regularizer: Any = GramRegularizer) -> None:
    """Three steps on a task whose weights have to reach a vector of its own."""
    make_optimizer: Callable[..., torch.optim.Optimizer] = partial(torch.optim.Adam, lr=0.05)
    step = RegularizedTraining(made, task, make_optimizer, 0.1, regularizer=regularizer)
    wanted = torch.linspace(-1, 1, made.layout.total, dtype=torch.float64) * (task + 1)
    for _ in range(3):
        step(mse_loss(made(task), wanted))


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_that_is_added_is_as_one_from_the_start(kind: str) -> None:
    whole, grown = make(kind, 3), make(kind, 1)
    grown.load_state_dict({name: whole.state_dict()[name] for name in grown.state_dict()})
    for task in range(3):
        if task:
            assert grown.add_task() == task
            for own, other in zip(grown.own(task), whole.own(task), strict=True):
                own.data.copy_(other)
        for made in (whole, grown):
            torch.manual_seed(0)
            train(made, task, BlockRegularizer if kind == "hidden" and task == 2 else GramRegularizer)
    assert list(whole.state_dict()) == list(grown.state_dict()) and whole.theta.keys() == grown.theta.keys()
    assert all(torch.equal(value, grown.state_dict()[name]) for name, value in whole.state_dict().items())
    assert all(torch.equal(whole(task), grown(task)) for task in range(3))


@pytest.mark.parametrize("kind", KINDS)
def test_the_regulariser_holds_a_task_that_was_added(kind: str) -> None:
    grown = make(kind, 2)
    grown.add_task()
    anchored = copy.deepcopy(grown)
    fast, reference = (regularizer(grown, range(3)) for regularizer in (GramRegularizer, ExplicitRegularizer))
    theta = {
        name: (value.detach() + 0.1 * torch.randn_like(value)).requires_grad_() for name, value in grown.theta.items()
    }
    drifts = []
    for task in range(3):
        features = grown.features(grown.embeddings([task]), theta)
        drifts.append((grown.generate(features, theta)[0] - anchored(task)).square().sum())
    expected = sum(drifts, torch.zeros(())) / 3
    for regularizer in (fast, reference):
        torch.testing.assert_close(regularizer(theta), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_embedding_starts_as_the_first_ones(kind: str) -> None:
    build, starts, sizes = KINDS[kind]
    torch.manual_seed(3)
    made = build(layout_of(2, starts), 1, task_embedding=4000, activation="tanh", **sizes)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    made.add_task()
    new = made.task_embeddings[1]
    assert isinstance(new, nn.Parameter) and new.requires_grad and abs(new.mean()) < 0.06
    length = new.norm().item() / sqrt(4000)
    assert length == pytest.approx(1, rel=1e-5) if starts else 0.95 < length < 1.05
    assert all(torch.equal(made.state_dict()[name], value) for name, value in before.items())
    made.start_from([0], 1)
    assert torch.equal(made.task_embeddings[1], made.task_embeddings[0])


def test_rows_that_are_gained_lie_behind_everything_else() -> None:
    layout = layout_of(5).after(layout_of(3).after(layout_of(2)))
    first = [("w", 0, (4, 3)), ("v", 0, (2, 4)), ("b", 0, (2,))]
    assert layout.pieces == [*first, ("v", 2, (1, 4)), ("b", 2, (1,)), ("v", 3, (2, 4)), ("b", 3, (2,))]
    named: dict[str, Tensor] = {name: torch.randn(shape) for name, shape in layout.shapes.items()}
    flat = layout.flatten(named)
    v, b = named["v"], named["b"]
    parts = [named["w"], v[:2], b[:2], v[2:3], b[2:3], v[3:], b[3:]]
    assert torch.equal(flat, torch.cat([part.flatten() for part in parts]))
    assert all(torch.equal(part, named[name]) for name, part in layout.split(flat).items())
    assert (layout.total, layout.sizes, layout.interval("w")) == (37, (12, 20, 5), (0, 12))
    with pytest.raises(KeyError, match="'v' is no parameter that lies in one piece"):
        layout.interval("v")


@pytest.mark.parametrize("rows", [slice(0, 2), slice(2, 3), slice(1, 4), slice(3, 5)])
def test_rows_of_one_head_are_found_wherever_they_lie(rows: slice) -> None:
    layout = layout_of(5).after(layout_of(3).after(layout_of(2)))
    masks: dict[str, Tensor] = {name: torch.zeros(shape, dtype=torch.bool) for name, shape in layout.shapes.items()}
    masks["w"][:] = True
    masks["v"][rows] = True
    masks["b"][rows] = True
    kept = torch.zeros(layout.total, dtype=torch.bool)
    for start, stop in layout.without_other_rows(("v", "b"), rows):
        assert start < stop
        kept[start:stop] = True
    assert torch.equal(kept, layout.flatten(masks))


def test_what_is_not_more_rows_alone_is_refused() -> None:
    small = layout_of(2)
    with pytest.raises(ValueError, match=r"v has the shape \(2, 4\) after \(3, 4\): not more rows alone"):
        small.after(layout_of(3))
    with pytest.raises(ValueError, match=r"w has the shape \(4, 3\) after \(4, 2\)"):
        small.after(Layout({**small.shapes, "w": torch.Size((4, 2))}))
    with pytest.raises(ValueError, match="other parameters: w, v, b after w, v"):
        small.after(Layout({name: small.shapes[name] for name in ("w", "v")}))
    with pytest.raises(ValueError, match="the layout does not begin with the present one"):
        make("hidden", 2).add_weights(layout_of(3))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_added_change_none_of_the_others(kind: str) -> None:
    made = make(kind, 2)
    before = [made(task).detach() for task in range(2)]
    for outputs in (3, 9):
        made.add_weights(layout_of(outputs, KINDS[kind][1]).after(made.layout))
    for task, weights in enumerate(before):
        grown = made(task)
        assert grown.shape == (12 + 9 * 5,)
        torch.testing.assert_close(grown[: len(weights)], weights, rtol=1e-12, atol=1e-14)
        assert grown[len(weights) :].std() > 0.01
    assert made.num_chunks == made.chunks.number == len(made.chunk_embeddings)
    for task in (0, 1):
        train(made, task)
    theta = {name: value.detach() * 1.1 for name, value in made.theta.items()}
    fast, reference = GramRegularizer(made, range(2)), ExplicitRegularizer(made, range(2))
    torch.testing.assert_close(fast(theta), reference(theta), rtol=1e-9, atol=0)


@pytest.mark.parametrize("sizes", [CHUNKED, {}], ids=["chunked", "in one piece"])
def test_new_rows_start_as_large_as_the_layout_says(sizes: dict[str, Any]) -> None:
    shapes = {"v": torch.Size((200, 300)), "b": torch.Size((200,))}
    layout = Layout(shapes, {"v": Start(0.0, 0.5), "b": Start(1.0, 0.1)})
    torch.manual_seed(2)
    chunked = {**sizes, "chunk_size": 3000, "chunk_embedding": 40} if sizes else {}
    made = Hypernetwork(layout, 3, task_embedding=40, hidden=[], **chunked)
    more = {name: torch.Size((400, *shape[1:])) for name, shape in shapes.items()}
    made.add_weights(Layout(more, layout.starts).after(layout))
    new = made(1).detach()[layout.total :]
    of_weights, of_biases = new.split([prod(shape) for shape in shapes.values()])
    assert of_weights.std() == pytest.approx(0.5, rel=0.2) and abs(of_weights.mean()) < 0.1
    assert of_biases.mean() == pytest.approx(1.0, abs=0.05) and of_biases.std() == pytest.approx(0.1, rel=0.4)


def test_a_network_that_gains_outputs_gives_the_old_ones_as_before() -> None:
    torch.manual_seed(4)
    small, large = (nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, outputs)) for outputs in (2, 5))
    target = TargetNetwork(small)
    made = Hypernetwork(target.layout, 1, task_embedding=3, hidden=[5], **CHUNKED)
    inputs = torch.randn(6, 3)
    before = target(made(0), inputs)
    grown = TargetNetwork(large, layout=Layout.of(large).after(target.layout))
    made.add_weights(grown.layout)
    after = grown(made(0), inputs)
    assert after.shape == (6, 5)
    torch.testing.assert_close(after[:, :2], before)
