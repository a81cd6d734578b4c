"""Optimisers and schedulers as a configuration chooses them."""

from typing import Any

import pytest
import torch
from builders import BETAS, LR, training
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from hnet_cl.core.chosen import Chosen, settings_of
from hnet_cl.core.errors import UserError
from hnet_cl.training.optimizers import can_be_captured, optimizer_factory, scheduler_factory, try_out

CPU = torch.device("cpu")


class NoRate(SGD):
    def __init__(self, params: Any, momentum: float = 0.9) -> None:
        super().__init__(params, lr=0.1, momentum=momentum)


class Needs(SGD):
    def __init__(self, params: Any, lr: float, momentum: float) -> None:
        super().__init__(params, lr=lr, momentum=momentum)


def chosen(kind: type[Optimizer], **typed: Any) -> Chosen[Optimizer]:
    return Chosen(kind, settings_of(kind).model_validate(typed))


def made(kind: type[Optimizer], clip: float | None = None, **typed: Any) -> tuple[Optimizer, nn.Parameter]:
    parameter = nn.Parameter(torch.tensor([1.0, 2.0]))
    return optimizer_factory(chosen(kind, **typed), training(gradient_clip_norm=clip), CPU)([parameter]), parameter


@pytest.mark.parametrize(
    ("kind", "typed", "expected"),
    [
        (Adam, {}, {"lr": LR, "betas": BETAS, "fused": True, "weight_decay": 0}),
        (Adam, {"weight_decay": 0.1, "fused": False}, {"fused": False, "weight_decay": 0.1}),
        (Adam, {"foreach": True}, {"fused": None, "foreach": True}),
        (AdamW, {}, {"lr": LR, "betas": BETAS, "fused": True, "weight_decay": 0.01}),
        (SGD, {"momentum": 0.9, "nesterov": True}, {"lr": LR, "momentum": 0.9, "nesterov": True, "fused": True}),
        (RMSprop, {"alpha": 0.5}, {"lr": LR, "alpha": 0.5, "capturable": False}),
    ],
)
def test_options_come_from_yaml_and_training(kind: type[Optimizer], typed: Any, expected: Any) -> None:
    optimizer, _ = made(kind, **typed)
    assert isinstance(optimizer, kind) and type(optimizer).__name__ == kind.__name__
    assert expected.items() <= optimizer.param_groups[0].items()


@pytest.mark.parametrize(("norm", "factor"), [(1.0, 0.2), (50.0, 1.0)])  # the gradient's is 5
def test_gradients_are_clipped_where_they_are_larger(norm: float, factor: float) -> None:
    optimizer, parameter = made(SGD, norm)
    parameter.grad = torch.tensor([3.0, 4.0])
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.tensor([1 - 3 * LR * factor, 2 - 4 * LR * factor]))
    assert torch.equal(parameter.grad, torch.tensor([3.0, 4.0]))


@pytest.mark.parametrize(("kind", "kept"), [(Adam, 2), (SGD, 0), (RMSprop, 1)])
def test_what_an_optimiser_keeps_of_each_weight(kind: type[Optimizer], kept: int) -> None:
    assert try_out(chosen(kind), None, training()) == kept


def test_momentum_is_kept() -> None:
    assert try_out(chosen(SGD, momentum=0.9), None, training()) == 1


@pytest.mark.parametrize(
    ("kind", "typed", "line"),
    [
        (
            SGD,
            {"momentum": -1.0},
            r"SGD: its constructor with lr=0.01, fused=True, momentum=-1.0 raises ValueError: Inv",
        ),
        (SGD, {"nesterov": True}, r"SGD: its constructor .* ValueError: Nesterov momentum requires a momentum"),
        (torch.optim.LBFGS, {}, r"LBFGS: step raises TypeError: .*closure"),
        (torch.optim.SparseAdam, {}, r"SparseAdam: step raises RuntimeError: .*dense"),
        (
            NoRate,
            {},
            r"NoRate: its constructor must take parameters, then lr and all else with defaults, as torch's opt",
        ),
        (Needs, {"lr": 1.0, "momentum": 0.0}, r"Needs: its constructor must .* do; without one: lr, momentum$"),
    ],
)
def test_what_cannot_train_is_one_line(kind: type[Optimizer], typed: Any, line: str) -> None:
    with pytest.raises(UserError, match=rf"^optimizer\._target_=\S*{line}") as caught:
        try_out(chosen(kind, **typed), None, training())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "name"), [(SGD, "lr"), (Adam, "betas")])
def test_what_belongs_to_the_training_has_one_place(kind: type[Optimizer], name: str) -> None:
    value = 0.1 if name == "lr" else (0.5, 0.9)
    with pytest.raises(UserError, match=rf"^optimizer\.{name}: is a setting of the training, .* training\.{name}$"):
        try_out(chosen(kind, **{name: value}), None, training())


@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("ReduceLROnPlateau", {}, r"lr_scheduler=ReduceLROnPlateau: step raises TypeError: .*metrics"),
        ("OneCycleLR", {"max_lr": 0.1}, r"lr_scheduler=OneCycleLR: its constructor raises ValueError: You must define"),
        ("OneCycleLR", {"max_lr": 1.0}, r"lr_scheduler=OneCycleLR: its constructor raises ValueError: .*total_steps"),
    ],
)
def test_a_scheduler_that_cannot_be_used_is_one_line(name: str, typed: Any, line: str) -> None:
    with pytest.raises(UserError, match=f"^{line}"):
        try_out(chosen(Adam), {"_target_": f"torch.optim.lr_scheduler.{name}", **typed}, training())


def test_no_scheduler_is_none() -> None:
    assert scheduler_factory(None) is None


def test_what_a_cuda_graph_can_repeat() -> None:
    kinds = (Adam, AdamW, SGD, RMSprop, torch.optim.Adagrad, Needs)
    assert [
        can_be_captured(chosen(kind, **({"lr": 1.0, "momentum": 0.0} if kind is Needs else {}))) for kind in kinds
    ] == [
        *[True] * 4,
        *[False] * 2,
    ]
