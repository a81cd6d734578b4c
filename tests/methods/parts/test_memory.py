"""The bytes that methods keep, counted by hand."""

from typing import Any

import pytest
import torch
from builders import TwoWeights, blobs, learned, learner
from torch import nn

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.methods.parts.buffer import example_bytes
from hnet_cl.methods.parts.memory import state_bytes

BENCHMARK = blobs(train_per_class=8)  # three tasks of two classes, of points of two float32
NETWORK = 4 * ((2 + 1) * 5 + (5 + 1) * 6)  # an MLP 2-5-6 in float32
EXAMPLE = 2 * 4 + 1 + 1  # a point, a label and a task
STORED = 2 * 2 * 3  # of two old tasks, three examples of each class
HYPERNETWORK = 4 * (3 * 2 + (3 + 2 + 1) * 6 + (6 + 1) * 20)  # three chunks of 20 for 51 weights: codes, hidden, head
EMBEDDINGS = 4 * 3 * 3
OF_MASKS = 4 * 2 + 4 * 4 * 2  # a fourth chunk, as none lies in two tensors, and a scale and an offset for each
KEPT: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    ("hnet", {}, {"hypernetwork": HYPERNETWORK, "task_embeddings": EMBEDDINGS}),
    ("hint", {}, {"hypernetwork": HYPERNETWORK + EMBEDDINGS, "task_embeddings": EMBEDDINGS}),  # radii as embeddings
    ("hypermask", {}, {"hypernetwork": HYPERNETWORK + OF_MASKS, "task_embeddings": EMBEDDINGS, "shared": NETWORK}),
    ("hnet_posterior", {}, {"hypernetwork": HYPERNETWORK + 3 * 2 * 4, "task_embeddings": EMBEDDINGS}),  # six chunks
    ("h_embedding", {}, {"hypernetwork": HYPERNETWORK, "task_embeddings": EMBEDDINGS}),
    ("finetune", {}, {"network": NETWORK}),
    ("lwf", {}, {"network": NETWORK}),
    ("ewc", {}, {"network": NETWORK, "penalties": 2 * NETWORK}),
    ("ewc", {"online": False}, {"network": NETWORK, "penalties": 2 * 2 * NETWORK}),
    ("mas", {}, {"network": NETWORK, "penalty": 2 * NETWORK}),
    ("si", {}, {"network": NETWORK, "penalty": 2 * NETWORK, "omega": NETWORK}),
    ("er", {}, {"network": NETWORK, "examples": STORED * EXAMPLE}),
    ("er_ace", {}, {"network": NETWORK, "examples": 3 * 2 * 3 * EXAMPLE}),  # those of the last task, too
    ("agem", {}, {"network": NETWORK, "examples": STORED * EXAMPLE}),
    ("derpp", {}, {"network": NETWORK, "examples": STORED * EXAMPLE, "logits": STORED * 6 * 4}),
    ("gdumb", {}, {"network": NETWORK, "examples": 3 * 2 * 3 * EXAMPLE}),
    ("joint", {}, {"network": NETWORK, "examples": 3 * 2 * 8 * EXAMPLE}),
    ("icarl", {}, {"network": NETWORK, "examples": 3 * 2 * 3 * EXAMPLE, "means": 6 * 5 * 4}),
    ("simple_cil", {}, {"means": 6 * 2 * 4, "counts": 6 * 8}),
    ("scratch", {}, {"networks": 3 * 4 * ((2 + 1) * 5 + (5 + 1) * 2)}),
]


@pytest.mark.parametrize(("method", "changes", "kept"), KEPT)
def test_what_methods_keep(method: str, changes: dict[str, Any], kept: dict[str, int]) -> None:
    made = learned(learner(method, BENCHMARK, **changes), BENCHMARK, 3, 1)
    assert made.kept_bytes() == kept


def test_a_generator_counts_with_its_networks() -> None:
    """Of HNET+R: an encoder 2-6-6, and a hypernetwork of a decoder 6-5-2 (a code of three numbers, one of three)."""
    made = learned(learner("hnet_r", BENCHMARK, "cl3"), BENCHMARK, 3, 1)
    encoder = 4 * ((2 + 1) * 6 + (6 + 1) * 6)
    of_decoder = 4 * (3 * 2 + (3 + 2 + 1) * 6 + (6 + 1) * 20)  # three chunks of 20 for 47 weights
    assert made.kept_bytes() == {
        "network": NETWORK,
        "generator": encoder + of_decoder,
        "task_embeddings": EMBEDDINGS,
    }


def test_it_grows_with_the_old_tasks() -> None:
    made = learner("derpp", BENCHMARK)
    found = []
    for number in range(1, 4):
        learned_task(made, number)
        found.append((made.kept_bytes()["examples"], made.kept_bytes()["logits"]))
    assert found == [(0, 0), (6 * EXAMPLE, 6 * 24), (STORED * EXAMPLE, STORED * 24)]


def learned_task(made: Any, number: int) -> None:
    made.begin_task(BENCHMARK.tasks[:number])
    made.step(*BENCHMARK.tasks[number - 1].train.batch(slice(None)))
    made.end_task()


def test_buffers_of_a_network_are_kept_for_each_task() -> None:
    def normalized(num_outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.Linear(5, num_outputs))

    made = learned(learner("hnet", BENCHMARK, target=normalized), BENCHMARK, 3, 1)
    assert made.kept_bytes()["task_buffers"] == 3 * (4 * (5 + 5) + 8)  # mean, variance, and a count of 64 bits


def test_a_shared_weight_counts_once_and_an_optimizer_not_at_all() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight
            self.optimizer = torch.optim.Adam(self.parameters())
            self.first(torch.ones(1, 3)).sum().backward()
            self.optimizer.step()

        def get_extra_state(self) -> dict[str, Any]:
            return {"optimizer": self.optimizer.state_dict(), "kept": [(torch.ones(2), torch.ones(3).half())]}

    assert state_bytes(Tied()) == {"first": 9 * 4, "kept": 2 * 4 + 3 * 2}


def test_examples_count_as_they_are_stored() -> None:
    images = torch.zeros(4, 1, 28, 28, dtype=torch.uint8)
    task = Split(images, torch.zeros(4, dtype=torch.int64), torch.clone)
    assert example_bytes(Task(0, "uint8", task, task, 2)) == 784 + 2
    task = Split(images.float(), torch.zeros(4, 3), torch.clone)
    assert example_bytes(Task(0, "float32, regression", task, task, 3, kind="regression")) == 784 * 4 + 3 * 4 + 1
    assert example_bytes(TwoWeights().tasks[0]) == 4 + 2
