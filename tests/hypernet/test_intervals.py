"""Boxes of weights: sound, exact for one layer, and held by the fast regulariser as by the explicit sum."""

from collections.abc import Sequence
from functools import partial
from itertools import product

import pytest
import torch
from torch import Tensor

from hnet_cl.hypernet import (
    BlockRegularizer,
    EndsRegularizer,
    ExplicitRegularizer,
    GramRegularizer,
    Hypernetwork,
    Interval,
    IntervalHypernetwork,
    Layout,
    RegularizedTraining,
)
from hnet_cl.hypernet.hypernetwork import Theta
from hnet_cl.hypernet.intervals import ENDS

TOTAL, TASKS = 11, 3
SIZES = {"task_embedding": 3, "chunk_size": 4, "chunk_embedding": 2}
CORNERS = torch.tensor([*product((-1.0, 1.0), repeat=3)], dtype=torch.float64)


def made_of(hidden: Sequence[int], activation: str = "relu", radius: float = 0.8) -> IntervalHypernetwork:
    """A hypernetwork in float64 whose parameters are all drawn, so that no bias or radius stays as it starts."""
    torch.manual_seed(3)
    layout = Layout({"w": torch.Size((TOTAL,))})
    made = IntervalHypernetwork(layout, TASKS, radius=radius, hidden=hidden, activation=activation, **SIZES).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def weights_of(made: IntervalHypernetwork, embeddings: Tensor) -> Tensor:
    """What a plain hypernetwork of the same parameters generates from points (B, E)."""
    plain = Hypernetwork(made.layout, TASKS, hidden=[len(layer.bias) for layer in made.trunk], **SIZES).double()
    plain.activation = made.activation
    plain.load_state_dict({name: value for name, value in made.state_dict().items() if "radius" not in name})
    with torch.no_grad():
        return plain.generate(plain.features(embeddings))


def test_the_radius_is_dealt_out_by_a_softmax() -> None:
    made = made_of([5])
    with torch.no_grad():
        made.radius_logits[1].copy_(torch.tensor([0.0, 0.0, 0.0]))
        made.radius_logits[2].copy_(torch.tensor([0.0, 0.0, torch.log(torch.tensor(2.0))]))
    radii = made.embeddings([1, 2]).detach()[:, 3:]
    torch.testing.assert_close(radii[0], torch.full((3,), 0.8 / 3, dtype=torch.float64))
    torch.testing.assert_close(radii[1], torch.tensor([0.2, 0.2, 0.4], dtype=torch.float64), rtol=1e-6, atol=0)


def test_without_hidden_layers_the_ends_are_those_of_the_corners() -> None:
    made = made_of([])
    centre, radius = made.embeddings([1]).detach().chunk(2, dim=1)
    corners = weights_of(made, centre + CORNERS * radius)
    low, middle, high = (part.detach() for part in made.box(1))
    torch.testing.assert_close(low, corners.amin(0))
    torch.testing.assert_close(high, corners.amax(0))
    torch.testing.assert_close(middle, weights_of(made, centre)[0])


@pytest.mark.parametrize("activation", ["relu", "elu", "sigmoid", "tanh"])
def test_with_hidden_layers_no_embedding_in_the_box_gives_weights_outside(activation: str) -> None:
    made = made_of([5, 4], activation)
    centre, radius = made.embeddings([2]).detach().chunk(2, dim=1)
    inside = torch.cat([CORNERS, 2 * torch.rand(500, 3, dtype=torch.float64) - 1])
    weights = weights_of(made, centre + inside * radius)
    low, middle, high = (part.detach() for part in made.box(2))
    assert (weights >= low - 1e-12).all() and (weights <= high + 1e-12).all()
    torch.testing.assert_close(middle, (low + high) / 2)
    assert not torch.allclose(middle, weights_of(made, centre)[0], atol=1e-4), "the centre is that of the box"


@pytest.mark.parametrize("hidden", [[], [5], [5, 4]])
def test_a_box_of_no_size_is_what_a_plain_hypernetwork_generates(hidden: list[int]) -> None:
    made = made_of(hidden)
    plain = weights_of(made, torch.stack([*made.task_embeddings]).detach())
    for task in range(TASKS):
        for part in made.box(task, 0.0):
            assert torch.equal(part.detach(), plain[task])


def test_pairs_have_the_features_of_their_chunks() -> None:
    made = made_of([5, 4])
    psi, radius = made.box_of_features(made.embeddings([0, 2]))
    tasks, chunks = torch.tensor([0, 1, 1]), torch.tensor([2, 0, 1])
    some = made.box_of_pairs(made.embeddings([0, 2])[tasks], chunks)
    torch.testing.assert_close(some[0], psi[tasks, chunks])
    torch.testing.assert_close(some[1], radius.expand(-1, made.num_chunks, -1)[tasks, chunks])


def moved(made: IntervalHypernetwork) -> dict[str, Tensor]:
    torch.manual_seed(5)
    return {name: (p.detach() + 0.3 * torch.randn_like(p)).requires_grad_() for name, p in made.theta.items()}


def by_hand(made: IntervalHypernetwork, theta: Theta, kept: Sequence[Interval]) -> Tensor:
    """The mean over tasks 0 and 1, and over the ends and the centre, of squared changes."""

    def ends(theta: Theta, task: int) -> Tensor:
        psi, radius = made.box_of_features(made.embeddings([task]), theta)
        middle = made.generate(psi, theta)[0]
        spread = made.generate(radius.expand(-1, made.num_chunks, -1), {"head": theta["head"][:-1].abs()})[0]
        return torch.stack([middle + end * spread for end in ENDS])

    total = torch.zeros((), dtype=torch.float64)
    for task in (0, 1):
        drift = ends(theta, task) - ends(made.theta, task).detach()
        total = total + sum(drift[:, start:stop].square().sum() for start, stop in kept)
    return total / 6


@pytest.mark.parametrize("hidden", [[], [5, 4]])
@pytest.mark.parametrize("kind", [GramRegularizer, ExplicitRegularizer, BlockRegularizer])
@pytest.mark.parametrize("kept", [[(0, TOTAL)], [(1, 3), (5, 10)]])
def test_the_regularisers_of_ends_equal_the_sum(hidden: list[int], kind: type, kept: list[Interval]) -> None:
    made = made_of(hidden)
    regularizer = EndsRegularizer(made, [0, 1], [kept, kept], kind=kind)
    theta = moved(made)
    expected = by_hand(made, theta, kept)
    slopes = torch.autograd.grad(expected, [*theta.values()])
    gradients = {name: torch.zeros_like(value) for name, value in theta.items()}
    value = regularizer.add_gradients(theta, gradients, 2.0)
    torch.testing.assert_close(value, expected.detach())
    assert expected > 0.1
    for slope, gradient in zip(slopes, gradients.values(), strict=True):
        torch.testing.assert_close(gradient, 2.0 * slope)


@pytest.mark.parametrize("lookahead", [True, False])
def test_a_step_moves_the_newest_box_alone_beside_theta(lookahead: bool) -> None:
    made = made_of([5])
    before = {name: p.detach().clone() for name, p in made.named_parameters()}
    adam = partial(torch.optim.Adam, lr=1e-2)
    training = RegularizedTraining(
        made, 2, adam, 0.1, lookahead=lookahead, regularizer=partial(EndsRegularizer, kind=GramRegularizer)
    )
    losses = training(made.box(2).high.square().sum())
    moved = {name for name, p in made.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {*made.theta, "task_embeddings.2", "radius_logits.2"}
    assert (losses["regularizer"] > 0) == lookahead, "without lookahead theta has not moved yet"


def test_a_negative_radius_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^radius=-0.1: give a number from 0 on$"):
        made_of([], radius=-0.1)
