"""How sure an answer is, and whether it depends on the task that is told."""

from typing import Any

import pytest
import torch
from builders import METHODS, begin, blobs, head_map, learner, setup
from torch import Tensor

from hnet_cl.methods.base import Prediction
from hnet_cl.methods.hnet import HNet
from hnet_cl.methods.parts.generated import Generated
from hnet_cl.methods.scratch import Scratch
from hnet_cl.methods.supsup import SupSup


def test_confidence_is_the_softmax_of_the_choice() -> None:
    logits = torch.tensor([[0.6, 0.3, 0.1], [0.0, 0.5, 0.5]]).log()
    confidence = Prediction(torch.tensor([0, 1]), logits=logits).confidence
    assert confidence is not None
    torch.testing.assert_close(confidence, torch.tensor([0.6, 0.5]))
    assert Prediction(torch.tensor([0])).confidence is None


def sure(logits: Tensor, answer: Prediction, first: int = 0) -> None:
    """Checks an answer by the logits (b, n) of the outputs from `first` on that it had to choose among."""
    assert answer.confidence is not None
    chosen = (answer.output - first).unsqueeze(1)
    torch.testing.assert_close(answer.confidence, logits.softmax(1).gather(1, chosen)[:, 0])


@pytest.mark.parametrize(
    ("scenario", "told", "read"),
    [("cl1", 1, (2, 4)), ("cl2", None, (0, 2)), ("cl2", 1, (0, 2)), ("cl3", None, (0, 4)), ("cl3", 1, (2, 4))],
)
def test_a_plain_network_chooses_among_the_outputs_that_are_read(
    scenario: str, told: int | None, read: tuple[int, int]
) -> None:
    made = learner("finetune", blobs(), scenario)
    begin(made, 1)
    inputs = torch.randn(50, 2)
    sure(made.network(inputs)[:, slice(*read)], made.predict(inputs, told), read[0])


def test_networks_of_a_task_choose_among_its_classes() -> None:
    heads, inputs = head_map("cl1", (2, 3, 4)), torch.randn(50, 2)
    scratch = Scratch(learner("scratch", blobs()).settings, setup(heads))
    sure(scratch.networks[1](inputs), scratch.predict(inputs, 1), 2)
    hnet = learner("hnet", blobs())
    begin(hnet, 2)
    logits = hnet.target(hnet.hypernetwork(2), inputs, hnet.networks.buffers[2])
    sure(logits[:, 4:], hnet.predict(inputs, 2), 4)


@pytest.mark.parametrize("method", ["hnet_ent", "hnet_tir"])
def test_an_inferred_task_chooses_among_its_classes_too(method: str) -> None:
    counts = (2, 3, 4)
    settings: Any = learner(method, blobs(), "cl3").settings
    made, inputs = HNet(settings, setup(head_map("cl3", counts))), 100 * torch.randn(50, 2)
    for task in range(3):
        begin(made, task)
    answer = made.predict(inputs)
    assert answer.task is not None and answer.confidence is not None
    assert len(answer.task.unique()) > 1
    for task in range(3):
        here = answer.task == task
        told = made.predict(inputs[here], task)
        assert told.confidence is not None
        torch.testing.assert_close(answer.confidence[here], told.confidence)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scenario", ["cl1", "cl2", "cl3"])
def test_only_a_shared_head_of_a_plain_network_makes_nothing_of_the_task(method: str, scenario: str) -> None:
    made = learner(method, blobs(), scenario)
    assert made.asks_task == (issubclass(METHODS[method], (Generated, Scratch, SupSup)) or scenario != "cl2")
