"""Networks that cannot be trained are refused in one line, before anything is trained."""

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from builders import blobs, maker, training
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
from hnet_cl.methods.parts.initial import initialised
from hnet_cl.training.rehearsal import rehearsed

BENCHMARK = blobs(num_tasks=2)


class Own(nn.Module):
    """One layer of `num_outputs` and whatever a user makes of it."""

    def __init__(self, num_outputs: int, answer: Callable[["Own", Tensor], Any]) -> None:
        super().__init__()
        self.layer = nn.Linear(2, num_outputs)
        self.answer = answer
        self.kept = torch.zeros(())

    def forward(self, x: Tensor) -> Any:
        return self.answer(self, x)


class Locked(Own):
    def __init__(self, num_outputs: int) -> None:
        super().__init__(num_outputs, lambda own, x: own.layer(x))
        self.lock = threading.Lock()


class Aliases(Own):
    def __init__(self, num_outputs: int) -> None:
        super().__init__(num_outputs, lambda own, x: x @ own.same[0].T)
        self.same = [self.layer.weight]


def graph_kept(own: Own, x: Tensor) -> Tensor:
    """A mistake that only the second step runs into."""
    own.kept = own.kept + own.layer(x).sum()
    return own.layer(x) * own.kept.tanh()


def otherwise_in_a_test(own: Own, x: Tensor) -> Tensor:
    return own.layer(x) if own.training else own.nothing(x)


class MakesParameters(Own):
    def __init__(self, num_outputs: int) -> None:
        super().__init__(num_outputs, lambda own, x: own.layer(x) * own.late())
        self.others = nn.ParameterDict()

    def late(self) -> nn.Parameter:
        if "scale" not in self.others:
            self.others["scale"] = nn.Parameter(torch.ones(()))
        return self.others["scale"]


class Embeds(nn.Module):
    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.table = nn.Embedding(3, num_outputs, sparse=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.table((x > 0).long()).sum(1)


def in_two_lines(own: Own, x: Tensor) -> Tensor:
    raise RuntimeError("first line\nsecond line")


MAKE: dict[str, tuple[Callable[[int], nn.Module], str]] = {
    "lazy": (lambda n: nn.Sequential(nn.LazyLinear(4), nn.Linear(4, n)), r"Sequential: 0\.weight has no shape yet"),
    "lazy buffers": (lambda n: nn.Sequential(nn.LazyBatchNorm1d(), nn.Linear(2, n)), r"has no shape yet; give lazy"),
    "meta": (lambda n: nn.Linear(2, n, device="meta"), r"Linear: weight is on the meta device"),
    "frozen meta": (
        lambda n: nn.Sequential(nn.Linear(2, 2, device="meta").requires_grad_(False), nn.Linear(2, n)),
        r"0\.weight is on the meta device",
    ),
    "all frozen": (lambda n: nn.Linear(2, n).requires_grad_(False), r"Linear: has nothing to train"),
    "no parameters": (lambda n: nn.Identity(), r"Identity: has nothing to train"),
    "float64": (lambda n: nn.Linear(2, n).double(), r"weight is float64, and only float32 is trained"),
    "complex": (lambda n: nn.Linear(2, n, dtype=torch.complex64), r"weight is complex64, and only"),
    "tuple": (
        lambda n: Own(n, lambda own, x: (own.layer(x), 1)),
        r"Own: forward in training mode of float32 inputs of shape \(2, 2\) gives a tuple; expected logits",
    ),
    "too few": (
        lambda n: Own(1, lambda own, x: own.layer(x)),
        r"gives float32 of shape \(2, 1\); expected logits, .* of shape \(2, [24]\)",
    ),
    "squeezed": (
        lambda n: Own(n, lambda own, x: own.layer(x).squeeze()),
        r"evaluation mode of .* \(1, 2\) gives float32 of shape \([24],\)",
    ),
    "no gradient": (
        lambda n: Own(n, lambda own, x: own.layer(x).detach()),
        r"its outputs have no gradient; expected outputs",
    ),
    "gradient elsewhere": (
        lambda n: Own(n, lambda own, x: x @ torch.ones(2, own.layer.out_features, requires_grad=True)),
        r"the gradient of its outputs reaches nothing that is trained; expected outputs that depend on",
    ),
    "integers": (lambda n: Own(n, lambda own, x: own.layer(x).long()), r"gives int64 of shape"),
    "raises": (
        lambda n: Own(n, in_two_lines),
        r"training mode of .*\(2, 2\) raises RuntimeError: first line; debug=true shows where$",
    ),
    "tested otherwise": (
        lambda n: Own(n, otherwise_in_a_test),
        r"evaluation mode of .* raises AttributeError: .* has no attribute 'nothing'; debug=true",
    ),
    "other inputs": (
        lambda n: nn.Sequential(nn.Conv2d(1, 1, 3), nn.Linear(2, n)),
        r"training mode of .* raises RuntimeError: .*conv2d",
    ),
    "parameters made late": (MakesParameters, r"changes when the network is used \(others\.scale\)"),
    "sparse": (Embeds, r"sparse"),
    "second step": (
        lambda n: Own(n, graph_kept),
        r"the backward pass for .* raises .*backward through the graph a second time",
    ),
}


def refused(method: str, target: Callable[[int], nn.Module]) -> str:
    with pytest.raises(UserError) as found:
        rehearsed(*maker(method, BENCHMARK, target=target), BENCHMARK.tasks, training().batch_size)
    return str(found.value)


@pytest.mark.parametrize(("target", "line"), MAKE.values(), ids=MAKE.keys())
@pytest.mark.parametrize("method", ["hnet", "ewc", "scratch"])
def test_one_line_before_training(method: str, target: Callable[[int], nn.Module], line: str) -> None:
    message = refused(method, target)
    assert message.startswith("target._target_=") and "\n" not in message
    assert re.search(line, message), message


def test_a_parameter_under_another_name_is_no_problem_but_for_generated_weights() -> None:
    assert "Aliases: no gradient reaches generated weights; expected outputs that depend on" in refused("hnet", Aliases)
    for method in ("ewc", "finetune", "si"):
        rehearsed(*maker(method, BENCHMARK, target=Aliases), BENCHMARK.tasks, 8)


def test_values_of_a_parameter_by_another_tensor_are_refused_where_weights_are_generated() -> None:
    class Shares(Own):
        """Uses the memory of one parameter, and has that of the other for other purposes."""

        def __init__(self, num_outputs: int) -> None:
            super().__init__(num_outputs, lambda own, x: x @ own.values["weight"].T + own.layer.bias)
            self.values = {"weight": self.layer.weight.data, "bias": self.layer.bias.detach()}

    message = refused("hnet", Shares)
    assert "uses the values of layer.weight by another tensor that it keeps" in message
    rehearsed(*maker("finetune", BENCHMARK, target=Shares), BENCHMARK.tasks, 8)


def test_unfreezing_in_use_is_refused_where_it_is_seen() -> None:
    class Unfreezes(Own):
        def train(self, mode: bool = True) -> "Unfreezes":
            self.layer.bias.requires_grad_(mode)
            return super().train(mode)

    def target(n: int) -> nn.Module:
        made = Unfreezes(n, lambda own, x: own.layer(x))
        made.layer.bias.requires_grad_(True)
        return made

    for method in ("ewc", "si", "finetune", "hnet"):
        assert "what can be trained changes when the network is used (layer.bias)" in refused(method, target)


def test_heads_whose_rows_depend_on_each_other_are_not_masked() -> None:
    def target(norm: Callable[[nn.Module], nn.Module]) -> Callable[[int], nn.Module]:
        return lambda n: nn.Sequential(nn.Linear(2, 5), norm(nn.Linear(5, n)))

    rows, matrix = (target(getattr(nn.utils.parametrizations, name)) for name in ("weight_norm", "spectral_norm"))
    rehearsed(*maker("hnet", BENCHMARK, target=rows, mask_heads=True), BENCHMARK.tasks, 8)
    with pytest.raises(UserError, match=r"^method\.mask_heads=true: in target\._target_=.*; set method\.mask_heads"):
        rehearsed(*maker("hnet", BENCHMARK, target=matrix, mask_heads=True), BENCHMARK.tasks, 8)


def test_a_batch_of_one_is_tried_as_such() -> None:
    def target(n: int) -> nn.Module:
        return nn.Sequential(nn.Linear(2, n), nn.BatchNorm1d(n))

    rehearsed(*maker("finetune", BENCHMARK, target=target), BENCHMARK.tasks, 2)
    with pytest.raises(UserError, match="Expected more than 1 value per channel"):
        rehearsed(*maker("finetune", BENCHMARK, target=target), BENCHMARK.tasks, 1)


def test_one_example_is_tried_as_the_batch_that_it_will_be() -> None:
    few = blobs(num_tasks=2, train_per_class=1)
    few.tasks = [type(task)(**{**vars(task), "train": task.train.part(torch.tensor([0]))}) for task in few.tasks]
    target = lambda n: nn.Sequential(nn.Linear(2, n), nn.BatchNorm1d(n))  # noqa: E731
    rehearsed(*maker("finetune", few, target=target), few.tasks, 8)


def test_new_initial_weights_leave_alone_what_is_not_trained() -> None:
    frozen, free = nn.Linear(3, 3), nn.Linear(3, 3)
    frozen.requires_grad_(False)
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    before = [value.clone() for layer in (frozen, free, normed) for value in (layer.weight, layer.bias)]
    initialised(nn.Sequential(frozen, free, normed), "xavier")
    after = [value for layer in (frozen, free, normed) for value in (layer.weight, layer.bias)]
    assert [torch.equal(*pair) for pair in zip(before, after, strict=True)] == [True, True, False, False, True, False]


def test_what_cannot_be_copied_is_refused_where_copies_are_needed() -> None:
    line = r"raises TypeError: cannot pickle '_thread.lock' object; debug=true shows where$"
    assert re.search(f"Locked: copying it {line}", refused("hnet", Locked))
    assert re.search(f"EWC.*: .*{line}", refused("ewc", Locked))
    for method in ("finetune", "scratch"):
        rehearsed(*maker(method, BENCHMARK, target=Locked), BENCHMARK.tasks, 8)
