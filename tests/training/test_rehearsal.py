"""What networks and methods cannot do is one line before anything is trained, and trying it changes nothing."""

import gc
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from builders import (
    LAYERWISE,
    METHODS,
    NEED_THE_TASK,
    TwoWeights,
    blobs,
    head_map,
    maker,
    rows_of,
    same_state,
    setup,
    training,
)
from marks import thinned
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
from hnet_cl.methods.base import Context, Learner, Prediction
from hnet_cl.methods.finetune import Finetune
from hnet_cl.training.rehearsal import rehearsed

Forward = Callable[[nn.Module, Tensor], Any]


class Odd(nn.Module):
    """Logits of a linear layer, of which `forward` makes something else."""

    def __init__(self, num_outputs: int, forward: Forward, more: int = 0) -> None:
        super().__init__()
        self.layer = nn.Linear(2, num_outputs + more)
        self.make = forward

    def forward(self, x: Tensor) -> Any:
        return self.make(self, x)


def odd(forward: Forward, **changes: Any) -> Callable[[int], nn.Module]:
    return lambda num_outputs: Odd(num_outputs, forward, **changes)


def usual(network: nn.Module, x: Tensor) -> Tensor:
    logits: Tensor = network.layer(x)  # type: ignore[operator]
    return logits


def fails(error: BaseException) -> Forward:
    def forward(network: nn.Module, x: Tensor) -> Any:
        raise error

    return forward


def in_evaluation(forward: Forward) -> Forward:
    """As it should be while it is trained."""
    return lambda network, x: (usual if network.training else forward)(network, x)


def refused(target: Callable[[int], nn.Module], method: str = "finetune", batch_size: int = 8, **changes: Any) -> str:
    benchmark = blobs()
    with pytest.raises(UserError) as caught:
        rehearsed(*maker(method, benchmark, target=target, **changes), benchmark.tasks, batch_size)
    line = str(caught.value)
    assert "\n" not in line
    return line


TRAINED = "forward in training mode of float32 inputs of shape (2, 2) "
TESTED = "forward in evaluation mode of float32 inputs of shape (2, 2) "
WANTED = "expected logits, floating-point numbers of shape (2, 6)"


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (odd(usual, more=-1), f"{TRAINED}gives float32 of shape (2, 5); {WANTED}"),
        (odd(usual, more=1), f"{TRAINED}gives float32 of shape (2, 7); {WANTED}"),
        (odd(lambda n, x: (usual(n, x), x)), f"{TRAINED}gives a tuple; {WANTED}"),
        (odd(lambda n, x: {"logits": usual(n, x)}), f"{TRAINED}gives a dict; {WANTED}"),
        (odd(lambda n, x: None), f"{TRAINED}gives None; {WANTED}"),
        (odd(lambda n, x: usual(n, x)[0]), f"{TRAINED}gives float32 of shape (6,); {WANTED}"),
        (odd(lambda n, x: usual(n, x)[None]), f"{TRAINED}gives float32 of shape (1, 2, 6); {WANTED}"),
        (odd(lambda n, x: usual(n, x).T), f"{TRAINED}gives float32 of shape (6, 2); {WANTED}"),
        (odd(lambda n, x: usual(n, x).long()), f"{TRAINED}gives int64 of shape (2, 6); {WANTED}"),
        (odd(lambda n, x: usual(n, x) + 0j), f"{TRAINED}gives complex64 of shape (2, 6); {WANTED}"),
        (odd(lambda n, x: usual(n, x) * torch.nan), f"{TRAINED}gives numbers that are NaN or infinite; expected"),
        (odd(lambda n, x: usual(n, x) / 0), f"{TRAINED}gives numbers that are NaN or infinite"),
        (odd(lambda n, x: usual(n, x).detach()), "its outputs have no gradient; expected outputs that depend on"),
        (odd(lambda n, x: usual(n, x.mul_(2))), f"{TRAINED}changes the inputs themselves; expected inputs as they"),
        (odd(fails(KeyError("nope"))), f"{TRAINED}raises KeyError: 'nope'; debug=true shows where"),
        (odd(fails(AssertionError())), f"{TRAINED}raises AssertionError; debug=true shows where"),
        (odd(fails(RuntimeError("two\nlines"))), f"{TRAINED}raises RuntimeError: two; debug=true shows where"),
        (odd(lambda n, x: usual(n, x[:, :1])), f"{TRAINED}raises RuntimeError: mat1 and mat2 shapes cannot be"),
        (odd(in_evaluation(lambda n, x: usual(n, x) / 0)), f"{TESTED}gives numbers that are NaN or infinite"),
        (odd(in_evaluation(lambda n, x: usual(n, x).argmax(1))), f"{TESTED}gives int64 of shape (2,); {WANTED}"),
        (odd(in_evaluation(fails(ValueError("no")))), f"{TESTED}raises ValueError: no; debug=true shows where"),
        (odd(lambda n, x: usual(n, x).squeeze(0)), "forward in evaluation mode of float32 inputs of shape (1, 2) gives "
         "float32 of shape (6,); expected logits, floating-point numbers of shape (1, 6)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["finetune", "hnet"])
def test_a_network_that_gives_no_logits(target: Any, line: str, method: str) -> None:
    assert refused(target, method).startswith(f"target._target_={__name__}.Odd: {line}")


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), MemoryError("full"), FileNotFoundError(2, "No such", "weights")]
)
def test_what_is_not_the_networks_fault_is_raised_as_it_is(error: BaseException) -> None:
    benchmark = blobs()
    with pytest.raises(type(error)):
        rehearsed(*maker("finetune", benchmark, target=odd(fails(error))), benchmark.tasks, 8)


def test_each_number_of_outputs_that_a_method_asks_for_is_tried() -> None:
    fixed = lambda num_outputs: Odd(6, usual)  # noqa: E731
    benchmark = blobs()
    rehearsed(*maker("hnet", benchmark, target=fixed), benchmark.tasks, 8)
    assert refused(fixed, "scratch").endswith(
        "of shape (2, 6); expected logits, floating-point numbers of shape (2, 2)"
    )
    assert "of shape (2, 3)" in refused(fixed, "hnet_tir", scenario="cl3")


def normalized(num_outputs: int) -> nn.Module:
    """A target with running statistics and with randomness of its own."""
    return nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.Dropout(0.3), nn.Linear(5, num_outputs))


def test_a_batch_of_one_is_tried_where_batches_are_so_small() -> None:
    line = refused(normalized, batch_size=1)
    assert "training mode of float32 inputs of shape (1, 2) raises ValueError: Expected more than 1 value" in line


def plain(num_outputs: int) -> nn.Module:
    """The same without running statistics."""
    return nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, num_outputs))


@pytest.mark.parametrize("target", [pytest.param(None, marks=pytest.mark.slow), normalized])
@pytest.mark.parametrize(
    ("method", "scenario"),
    [
        *thinned(((method, "cl1" if method in NEED_THE_TASK else "cl3") for method in METHODS), 3),
        *(
            pytest.param(method, "cl1", marks=pytest.mark.slow)
            for method in METHODS
            if method not in (*NEED_THE_TASK, "icarl")
        ),
    ],
)
def test_every_method_passes_and_nothing_that_comes_later_changes(method: str, scenario: str, target: Any) -> None:
    benchmark = blobs()
    if target and method in LAYERWISE:
        target = plain
    make, given = maker(method, benchmark, scenario, **({"target": target} if target else {}))
    expected = make(given)
    before = torch.get_rng_state(), [split.images.clone() for t in benchmark.tasks for split in (t.train, t.test)]
    made = rehearsed(make, given, benchmark.tasks, 8)
    assert torch.equal(before[0], torch.get_rng_state())
    images = [split.images for t in benchmark.tasks for split in (t.train, t.test)]
    assert all(map(torch.equal, before[1], images))
    assert same_state(expected.state_dict(), made.state_dict())
    settings = training(iterations=8)
    rows = [list(rows_of(one, benchmark.tasks, settings, [])) for one in (expected, made)]
    assert rows[0] == rows[1] and same_state(expected.state_dict(), made.state_dict())


def test_one_task_and_one_example_are_enough() -> None:
    benchmark = blobs(num_tasks=1, train_per_class=1, test_per_class=1, num_classes=2)
    for method in METHODS:
        rehearsed(*maker(method, benchmark), benchmark.tasks, 8)
    rehearsed(*maker("joint", TwoWeights(), target=lambda n: nn.Linear(1, n)), TwoWeights().tasks, 8)


def test_what_was_rehearsed_takes_no_memory_afterwards() -> None:
    benchmark, made = blobs(), []
    make, given = maker("hnet", benchmark)

    def noted(setup: Context) -> Learner:
        one: Learner = make(setup)
        made.append(weakref.ref(one))
        return one

    used = rehearsed(noted, given, benchmark.tasks, 8)
    gc.collect()
    assert [reference() for reference in made] == [None, used]


class Mine(Finetune):
    """A method of somebody's own."""

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Any:
        return self.settings.change(super().predict(inputs, task))  # type: ignore[attr-defined]


class Careless(Finetune):
    def step(self, inputs: Tensor, labels: Tensor) -> Any:
        return self.settings.change(super().step(inputs, labels)["loss"])  # type: ignore[attr-defined]


class Settings(Finetune.Settings):
    change: Any


class Hidden(Finetune):
    """No schedule would reach its optimiser."""

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return []


def test_an_optimiser_that_is_not_named_is_one_line() -> None:
    settings, benchmark = Finetune.Settings(name="mine", reset_optimizer=True), blobs()
    with pytest.raises(
        UserError, match=r"task 1 \(blobs 0\): optimizers\(\) does not name all optimisers that step uses"
    ):
        rehearsed(partial(Hidden, settings), setup(head_map("cl1", benchmark.class_counts)), benchmark.tasks, 8)


@pytest.mark.parametrize(
    ("method", "change", "line"),
    [
        (Mine, lambda p: p.output, "predict on inputs of shape (2, 2), task=0, returns a Tensor; expected a"),
        (Mine, lambda p: Prediction(p.output + 5), "gives outputs from 6 to 6; expected 0 to 5"),
        (Mine, lambda p: Prediction(p.output.float()), "gives outputs float32 of shape (2,); expected int64 of"),
        (Mine, lambda p: Prediction(p.output[:1]), "gives outputs int64 of shape (1,); expected int64 of shape (2,)"),
        (Mine, lambda p: Prediction(p.output, logits=p.logits / 0), "rests on numbers that are NaN or infinite"),
        (Mine, lambda p: p.nope, "task=0, raises AttributeError: 'Prediction' object has no attribute 'nope'"),
        (Careless, lambda x: x, "step on inputs of shape (2, 2) returns a Tensor; expected a dict of names"),
        (Careless, lambda x: {"loss": x.item()}, "step on inputs of shape (2, 2) returns a dict; expected a dict"),
        (Careless, lambda x: {"loss": x.expand(2)}, "each a tensor of one number"),
        (Careless, lambda x: {"loss": x * torch.inf}, "gives {'loss': inf} before anything is trained; expected"),
        (Careless, lambda x: x.nope, "step on inputs of shape (2, 2) raises AttributeError: 'Tensor' object"),
    ],
)  # fmt: skip
def test_a_method_that_does_not_do_what_learners_do(method: Any, change: Any, line: str) -> None:
    benchmark = blobs()
    settings = Settings(name="mine", reset_optimizer=True, change=change)
    heads = head_map("cl1", benchmark.class_counts)
    with pytest.raises(UserError) as caught:
        rehearsed(partial(method, settings), setup(heads), benchmark.tasks, 8)
    said = str(caught.value)
    at = (
        f"method._target_={__name__}.{method.__name__} with target._target_=hnet_cl.targets.mlp.MLP: task 1 (blobs 0): "
    )
    assert said.startswith(at) and line in said and "\n" not in said
