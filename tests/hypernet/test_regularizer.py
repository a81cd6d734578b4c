"""The fast regulariser is the explicit one, and the explicit one is the paper's formula."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
import torch
from builders import moved, written_out
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import hnet_cl.hypernet.regularizer as regularizer_module
from hnet_cl.hypernet import (
    ACTIVATIONS,
    BlockRegularizer,
    ExplicitRegularizer,
    GramRegularizer,
    Hypernetwork,
    Interval,
    Layout,
    OutputRegularizer,
)
from hnet_cl.hypernet.hypernetwork import Theta
from hnet_cl.hypernet.regularizer import merge_intervals
from hnet_cl.targets.mlp import MLP

BOTH = pytest.mark.parametrize("kind", [GramRegularizer, ExplicitRegularizer])
ALL = pytest.mark.parametrize("kind", [GramRegularizer, ExplicitRegularizer, BlockRegularizer])
Kept = Sequence[Sequence[Interval]] | None


def hypernetwork_of(
    layout: Layout, tasks: int, hidden: Sequence[int] = (6,), chunk_size: int | None = 7, activation: str = "elu"
) -> Hypernetwork:
    made = Hypernetwork(
        layout,
        tasks,
        task_embedding=3,
        hidden=hidden,
        activation=activation,
        chunk_size=chunk_size,
        chunk_embedding=2,
    )
    for parameter in made.parameters():  # biases too: none may stay at its initial zero
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def vector(total: int) -> Layout:
    return Layout({"w": torch.Size((total,))})


@contextmanager
def drawing(regularizer: OutputRegularizer, chosen: Tensor | None) -> Iterator[None]:
    """Lets a regulariser draw these of its terms."""
    place = regularizer_module if isinstance(regularizer, ExplicitRegularizer) else regularizer
    with patch.object(place, "draw_tasks" if place is regularizer_module else "draw", lambda *_: chosen):
        yield


def value_and_gradients(
    regularizer: OutputRegularizer, theta: Theta, chosen: Tensor | None = None
) -> tuple[Tensor, ...]:
    with drawing(regularizer, chosen):
        value = regularizer(theta)
    return value.detach(), *torch.autograd.grad(value, list(theta.values()))


def assert_equal(kinds: tuple[tuple[Tensor, ...], tuple[Tensor, ...]], tolerance: float) -> None:
    """Value, then each gradient: differences are at most `tolerance` times the largest entry."""
    for ours, theirs in zip(*kinds, strict=True):
        if theirs.numel():
            largest = theirs.abs().max().item()
            assert (ours - theirs).abs().max().item() <= tolerance * largest + 1e-30


@dataclass(frozen=True)
class Case:
    """A hypernetwork, what of which old tasks counts, and the draw of its numbers."""

    total: int
    tasks: int
    chunk_size: int | None
    hidden: list[int]
    activation: str
    kept: list[list[Interval]] | None
    chosen: list[int] | None
    seed: int

    def compare(self, dtype: torch.dtype) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Value and gradients of the fast and of the explicit regulariser; task 0 stays out of both."""
        torch.manual_seed(self.seed)
        layout = vector(self.total)
        hypernetwork = hypernetwork_of(layout, self.tasks + 1, self.hidden, self.chunk_size, self.activation).to(dtype)
        old = range(1, self.tasks + 1)
        fast = GramRegularizer(hypernetwork, old, self.kept)
        explicit = ExplicitRegularizer(hypernetwork, old, self.kept)
        theta = moved(hypernetwork.theta, 0.3)
        chosen = None if self.chosen is None else torch.tensor(self.chosen)
        return value_and_gradients(fast, theta, chosen), value_and_gradients(explicit, theta, chosen)


@st.composite
def cases(draw: st.DrawFn, smallest: int, shortest: int) -> Case:
    """At least `smallest` weights, of which for each task an interval of at least `shortest` counts, and any others."""
    total = draw(st.integers(smallest, 3 * smallest + 60))
    tasks = draw(st.integers(1, 4))
    start = st.integers(0, total - shortest)
    long = start.flatmap(lambda first: st.tuples(st.just(first), st.integers(first + shortest, total)))
    anywhere = st.tuples(st.integers(0, total), st.integers(0, total))
    intervals = st.tuples(st.lists(anywhere, max_size=3), long).map(lambda parts: [*parts[0], parts[1]])
    return Case(
        total=total,
        tasks=tasks,
        chunk_size=draw(st.none() | st.integers(1, total + 5)),
        hidden=draw(st.lists(st.integers(4, 9), max_size=2)),
        activation=draw(st.sampled_from(list(ACTIVATIONS))),
        kept=draw(st.none() | st.lists(intervals, min_size=tasks, max_size=tasks)),
        chosen=draw(st.none() | st.lists(st.integers(0, tasks - 1), min_size=1, unique=True)),
        seed=draw(st.integers(0, 10**6)),
    )


@given(cases(smallest=30, shortest=10))
@settings(max_examples=100, deadline=None)
def test_fast_equals_explicit_in_single_precision(case: Case) -> None:
    assert_equal(case.compare(torch.float32), 1e-5)


@given(cases(smallest=1, shortest=1))
@settings(max_examples=100, deadline=None)
def test_fast_equals_explicit_in_double_precision(case: Case) -> None:
    assert_equal(case.compare(torch.float64), 1e-10)


@pytest.mark.parametrize("chunk_size", [None, 5, 7, 16])
@pytest.mark.parametrize("hidden", [[6, 5], []])
def test_fast_equals_explicit_with_masked_heads(chunk_size: int | None, hidden: list[int]) -> None:
    layout = Layout.of(MLP((2,), 6, [4]))
    hypernetwork = hypernetwork_of(layout, 3, hidden, chunk_size).double()
    kept = [layout.without_other_rows(("layers.1.weight", "layers.1.bias"), slice(2 * t, 2 * t + 2)) for t in range(3)]
    pair = [kind(hypernetwork, range(3), kept) for kind in (GramRegularizer, ExplicitRegularizer)]
    theta = moved(hypernetwork.theta, 0.3)
    ours, theirs = (value_and_gradients(regularizer, theta) for regularizer in pair)
    assert_equal((ours, theirs), 1e-10)
    assert ours[0] < 0.9 * GramRegularizer(hypernetwork, range(3))(theta)  # the mask does leave something out


@ALL
@pytest.mark.parametrize("kept", [None, [[(0, 4), (15, 20)], [(3, 9), (5, 12)]]])
def test_value_is_the_sum_over_weights_divided_by_the_number_of_tasks(
    kind: type[OutputRegularizer], kept: Kept
) -> None:
    hypernetwork = hypernetwork_of(vector(20), 3)
    theta = moved(hypernetwork.theta, 0.3)
    expected = 0.0
    for i, task in enumerate((2, 0)):
        embedding = hypernetwork.task_embeddings[task]
        drift = written_out(hypernetwork, theta, embedding) - written_out(hypernetwork, hypernetwork.theta, embedding)
        positions = {p for start, stop in kept[i] for p in range(start, stop)} if kept else range(20)
        expected += sum(drift[p].item() ** 2 for p in positions) / 2
    assert kind(hypernetwork, (2, 0), kept)(theta).item() == pytest.approx(expected, rel=1e-5)


@ALL
def test_zero_with_zero_gradient_where_it_was_made(kind: type[OutputRegularizer]) -> None:
    hypernetwork = hypernetwork_of(vector(20), 3)
    at_anchor = value_and_gradients(kind(hypernetwork, range(3)), moved(hypernetwork.theta, 0))
    largest = max(part.abs().max().item() for part in at_anchor)
    # the explicit form has its targets from the same products, but perhaps not of the same shape
    assert largest < 1e-5 if kind is ExplicitRegularizer else largest == 0


@ALL
def test_theta_star_is_frozen_when_it_is_made(kind: type[OutputRegularizer]) -> None:
    hypernetwork = hypernetwork_of(vector(20), 3)
    regularizer, theta = kind(hypernetwork, range(3)), moved(hypernetwork.theta, 0.3)
    before = value_and_gradients(regularizer, theta)
    with torch.no_grad():
        for parameter in hypernetwork.parameters():
            parameter.add_(1)
    torch.testing.assert_close(value_and_gradients(regularizer, theta), before, rtol=0, atol=0)


@ALL
def test_no_gradient_reaches_old_embeddings(kind: type[OutputRegularizer]) -> None:
    hypernetwork = hypernetwork_of(vector(20), 3)
    regularizer = kind(hypernetwork, range(2))
    with torch.no_grad():
        hypernetwork.chunk_embeddings.add_(0.1)
    regularizer(hypernetwork.theta).backward()
    assert all(embedding.grad is None for embedding in hypernetwork.task_embeddings)
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in hypernetwork.theta.values())


@pytest.mark.parametrize("kept", [None, [[(0, 4), (6, 7)], [(3, 11)]]])
def test_fast_gradients_by_finite_differences(kept: Kept) -> None:
    hypernetwork = hypernetwork_of(vector(11), 2, [4], 4).double()
    theta = moved(hypernetwork.theta, 0.3)

    def value(*tensors: Tensor) -> Tensor:
        return GramRegularizer(hypernetwork, range(2), kept)(dict(zip(theta, tensors, strict=True)))

    assert torch.autograd.gradcheck(value, tuple(theta.values()))


@BOTH
@pytest.mark.parametrize("number", [1, 2, 3])
def test_sampling_tasks_is_unbiased(kind: type[OutputRegularizer], number: int) -> None:
    hypernetwork = hypernetwork_of(vector(20), 4).double()
    kept = [[(2, 18)], [(0, 20)], [(4, 8)], [(0, 1), (3, 20)]]
    regularizer, theta = kind(hypernetwork, range(4), kept), moved(hypernetwork.theta, 0.3)
    draws = [value_and_gradients(regularizer, theta, torch.tensor(c)) for c in itertools.combinations(range(4), number)]
    mean = tuple(sum(parts) / len(draws) for parts in zip(*draws, strict=True))
    torch.testing.assert_close(mean, value_and_gradients(regularizer, theta), rtol=1e-10, atol=1e-12)
    assert not torch.allclose(draws[0][0], draws[1][0])


@ALL
def test_a_second_value_leaves_the_first_ones_gradient_right(kind: type[OutputRegularizer]) -> None:
    hypernetwork = hypernetwork_of(vector(20), 3)
    regularizer, theta = kind(hypernetwork, range(3)), moved(hypernetwork.theta, 0.1)
    first = regularizer(theta)
    regularizer(moved(hypernetwork.theta, 0.2))
    gradients = torch.autograd.grad(first, list(theta.values()))
    torch.testing.assert_close((first.detach(), *gradients), value_and_gradients(regularizer, theta), rtol=0, atol=0)


@ALL
@pytest.mark.parametrize("chosen", [None, [2, 0]])
@pytest.mark.parametrize("kept", [None, [[(2, 18)], [(0, 20)], [(4, 8)]]])
@pytest.mark.parametrize("left_out", [False, True])
def test_gradients_are_added_as_backward_would(
    kind: type[OutputRegularizer], kept: Kept, chosen: list[int] | None, left_out: bool
) -> None:
    hypernetwork = hypernetwork_of(vector(20), 3).double()
    regularizer, theta = kind(hypernetwork, range(3), kept), moved(hypernetwork.theta, 0.3)
    numbers = None if chosen is None else torch.tensor(chosen)
    value, *gradients = value_and_gradients(regularizer, theta, numbers)
    rest = dict(theta)
    for name, drift in regularizer.drifts.items() if left_out else ():
        drift.measure(rest.pop(name))
    sums = {name: torch.ones_like(tensor) for name, tensor in theta.items()}
    with drawing(regularizer, numbers):
        assert regularizer.add_gradients(rest, sums, 0.25).item() == pytest.approx(value.item(), rel=1e-12)
    torch.testing.assert_close(list(sums.values()), [1 + 0.25 * g for g in gradients], rtol=1e-10, atol=1e-12)


class LastLayerOnly(OutputRegularizer):
    """Depends on a part of theta alone."""

    def __call__(self, theta: Theta) -> Tensor:
        return theta["head"].square().sum()


def test_gradients_of_a_part_of_theta() -> None:
    hypernetwork = hypernetwork_of(vector(20), 3)
    theta = moved(hypernetwork.theta, 0.3)
    sums = {name: torch.zeros_like(tensor) for name, tensor in theta.items()}
    value = LastLayerOnly(hypernetwork, range(2)).add_gradients(theta, sums, 0.5)
    assert value.item() == pytest.approx(theta["head"].square().sum().item(), rel=1e-6)
    torch.testing.assert_close(sums.pop("head"), theta["head"].detach())
    assert not any(gradient.any() for gradient in sums.values())


@BOTH
@pytest.mark.parametrize("number", [1, 2, 3])
def test_tasks_are_a_stream_of_uniform_draws_where_there_are_more(kind: Any, number: int) -> None:
    hypernetwork = hypernetwork_of(vector(20), 3)
    regularizer = kind(hypernetwork, range(3), None, torch.Generator().manual_seed(5), sampled_tasks=number)
    theta, expected = moved(hypernetwork.theta, 0.3), torch.Generator().manual_seed(5)
    for _ in range(4):
        drawn = None if number == 3 else torch.randperm(3, generator=expected)[:number]
        whole = value_and_gradients(kind(hypernetwork, range(3)), theta, drawn)
        value = regularizer(theta)
        gradients = torch.autograd.grad(value, list(theta.values()))
        torch.testing.assert_close((value.detach(), *gradients), whole, rtol=0, atol=0)
    assert regularizer.capturable is (number == 3) and kind(hypernetwork, range(3)).capturable is True


@pytest.mark.parametrize("number", [5, 6])
def test_blocks_are_a_stream_of_uniform_draws_where_there_are_more(number: int) -> None:
    hypernetwork = hypernetwork_of(vector(20), 2)  # six blocks
    given = hypernetwork, range(2), None
    regularizer = BlockRegularizer(*given, torch.Generator().manual_seed(5), sampled_blocks=number)
    theta, expected = moved(hypernetwork.theta, 0.3), torch.Generator().manual_seed(5)
    for _ in range(3):
        drawn = None if number == 6 else torch.randint(6, (5,), generator=expected)
        assert regularizer(theta).item() == value_and_gradients(BlockRegularizer(*given), theta, drawn)[0].item()


@ALL
def test_less_than_one_of_what_is_drawn_is_refused(kind: Any) -> None:
    name = "sampled_blocks" if kind is BlockRegularizer else "sampled_tasks"
    with pytest.raises(ValueError, match=f"^{name}=0: give a positive number"):
        kind(hypernetwork_of(vector(20), 3), range(3), **{name: 0})


@given(cases(smallest=1, shortest=1))
@settings(max_examples=50, deadline=None)
def test_all_blocks_equal_all_tasks(case: Case) -> None:
    torch.manual_seed(case.seed)
    hypernetwork = hypernetwork_of(vector(case.total), case.tasks, case.hidden, case.chunk_size).double()
    theta = moved(hypernetwork.theta, 0.3)
    pair = [kind(hypernetwork, range(case.tasks), case.kept) for kind in (BlockRegularizer, ExplicitRegularizer)]
    blocks, explicit = (value_and_gradients(regularizer, theta) for regularizer in pair)
    assert_equal((blocks, explicit), 1e-10)


@pytest.mark.parametrize("number", [1, 2])
def test_sampling_blocks_is_unbiased(number: int) -> None:
    hypernetwork = hypernetwork_of(vector(20), 2).double()  # three blocks of seven, of the last one six count
    regularizer, theta = (
        BlockRegularizer(hypernetwork, range(2), [[(2, 18)], [(0, 20)]]),
        moved(hypernetwork.theta, 0.3),
    )
    assert regularizer.number == 6
    every = itertools.product(range(6), repeat=number)  # with replacement
    draws = [value_and_gradients(regularizer, theta, torch.tensor(pairs)) for pairs in every]
    mean = tuple(sum(parts) / len(draws) for parts in zip(*draws, strict=True))
    torch.testing.assert_close(mean, value_and_gradients(regularizer, theta), rtol=1e-10, atol=1e-12)
    assert not torch.allclose(draws[0][0], draws[1][0])


@ALL
def test_a_regulariser_without_old_tasks_is_refused(kind: type[OutputRegularizer]) -> None:
    with pytest.raises(ValueError, match="at least one old task"):
        kind(hypernetwork_of(vector(20), 1), [])


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30))))
def test_merged_intervals_are_sorted_disjoint_and_cover_the_same(intervals: list[Interval]) -> None:
    merged = merge_intervals(intervals)
    assert all(start < stop for start, stop in merged)
    assert all(first[1] < second[0] for first, second in itertools.pairwise(merged))
    covered = {p for start, stop in intervals for p in range(start, stop)}
    assert {p for start, stop in merged for p in range(start, stop)} == covered


def flops(kind: type[OutputRegularizer], tasks: int) -> int:
    """Of one value with its gradients, for permuted MNIST's hypernetwork."""
    layout = vector(2_126_100)
    hypernetwork = Hypernetwork(
        layout, tasks, task_embedding=24, hidden=[25, 25], activation="elu", chunk_size=78_000, chunk_embedding=8
    )
    regularizer, theta = kind(hypernetwork, range(tasks)), moved(hypernetwork.theta, 0.1)
    with FlopCounterMode(display=False) as counter:
        value_and_gradients(regularizer, theta)
    return int(counter.get_total_flops())


def test_cost_of_the_fast_form_does_not_grow_with_tasks() -> None:
    assert flops(GramRegularizer, 50) < 4 / 3 * flops(GramRegularizer, 2)
    assert flops(ExplicitRegularizer, 10) > 4 * flops(ExplicitRegularizer, 2)


@ALL
@pytest.mark.parametrize("hidden", [(), (6,), (5, 4)])
@pytest.mark.parametrize("chunk_size", [7, None])
def test_plastic_embeddings_are_pulled_back_as_the_formula_says(
    kind: type[OutputRegularizer], hidden: Sequence[int], chunk_size: int | None
) -> None:
    """R(theta, e) = 1/T sum_t ||h(e_t, theta) - h(e_t*, theta*)||^2, and its gradients."""
    torch.manual_seed(3)
    made = hypernetwork_of(vector(20), 2, hidden, chunk_size).double()
    made.plastic = True
    made_of = kind(made, range(2))
    before = [made(task).detach() for task in range(2)]
    there = moved(made.held(2), 0.1)
    now = [written_out(made, there, there[f"task_embeddings.{task}"]) for task in range(2)]
    expected = sum((one - old).square().sum() for one, old in zip(now, before, strict=True)) / 2
    slopes = dict(zip(there, torch.autograd.grad(expected, [*there.values()], allow_unused=True), strict=True))
    assert slopes["task_embeddings.1"].abs().sum() > 0
    torch.testing.assert_close(made_of(there), expected)
    found = {name: torch.zeros_like(value) for name, value in there.items()}
    torch.testing.assert_close(made_of.add_gradients(there, found, 1.0), expected.detach())
    for name, slope in slopes.items():
        torch.testing.assert_close(found[name], torch.zeros_like(found[name]) if slope is None else slope, msg=name)
