"""The training accuracy, from what a step has computed anyway."""

import torch
from torch import Tensor

from hnet_cl.methods.parts.answers import Answers

OUTPUTS = torch.tensor([[0.0, 9.0, 1.0, 0.0], [0.0, 0.0, 3.0, 2.0], [0.0, 0.0, 0.0, 5.0], [0.0, 0.0, 1.0, 4.0]])


def test_labels_count_from_the_first_output_of_the_task() -> None:
    """Answers are outputs 1, 2, 3, 3; the task has outputs 2 and 3."""
    assert Answers(OUTPUTS, torch.tensor([0, 0, 1, 0]), 2).share_right() == 0.5
    assert Answers(OUTPUTS[:, 2:], torch.tensor([0, 0, 1, 0]), 0).share_right() == 0.75


def test_outputs_from_inside_vmap_say_nothing() -> None:
    kept: list[Tensor] = []

    def loss(x: Tensor) -> Tensor:
        kept.append(x[None].detach())
        return x.sum()

    torch.func.vmap(loss)(OUTPUTS)
    assert Answers(kept[0], torch.tensor([0]), 0).share_right() is None
