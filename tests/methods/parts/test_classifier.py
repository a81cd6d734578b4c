"""The classifier that other methods are made from."""

import torch
from builders import blobs, head_map, setup
from torch.nn.functional import cross_entropy

from hnet_cl.methods.parts.classifier import Classifier


def test_stored_examples_of_several_tasks_are_each_under_their_own_head() -> None:
    benchmark = blobs(num_tasks=2)
    made = Classifier(Classifier.Settings(name="mine", reset_optimizer=True), setup(head_map("cl1", (2, 2))))
    made.begin_task(benchmark.tasks)
    inputs, labels = benchmark.tasks[0].train.batch(slice(0, 6))
    logits = made.network(inputs)
    tasks = torch.tensor([0, 1] * 3)
    loss = made.loss(inputs, labels, tasks)
    each = [cross_entropy(logits[i, 2 * task : 2 * task + 2], labels[i]) for i, task in enumerate(tasks.tolist())]
    torch.testing.assert_close(loss, torch.stack(each).mean())
