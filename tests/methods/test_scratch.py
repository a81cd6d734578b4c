"""From scratch: networks that know nothing of each other."""

import torch
import torch.nn.functional as F
from builders import adam, begin, blobs, head_map, learner, setup, small_target

from hnet_cl.core.seeding import seeded
from hnet_cl.methods.scratch import Scratch


def test_each_task_trains_a_fresh_network_and_no_other() -> None:
    made = learner("scratch", blobs())
    before = [[p.detach().clone() for p in network.parameters()] for network in made.networks]
    for task in range(3):
        with seeded(1, "init", "target", task):
            network = small_target(2)
        torch.testing.assert_close(before[task], [p.data for p in network.parameters()], rtol=0, atol=0)
        optimizer = adam(network.parameters())
        begin(made, task)
        for _ in range(3):
            inputs, labels = torch.randn(8, 2), torch.randint(2, (8,))
            optimizer.zero_grad()
            loss = F.cross_entropy(network(inputs), labels)
            loss.backward()
            optimizer.step()
            torch.testing.assert_close(made.step(inputs, labels), {"loss": loss.detach()})
        made.end_task()
        before[task] = [p.detach().clone() for p in network.parameters()]
        for other in range(3):
            now = [p.data for p in made.networks[other].parameters()]
            torch.testing.assert_close(now, before[other], rtol=0, atol=1e-6 if other == task else 0)


def test_networks_start_differently() -> None:
    first, second, _ = learner("scratch", blobs()).networks
    assert not torch.equal(first.layers[0].weight, second.layers[0].weight)


def test_sizes_and_answers_follow_each_tasks_number_of_classes() -> None:
    made = Scratch(Scratch.Settings(name="scratch"), setup(head_map("cl1", (2, 3, 4))))
    inputs = torch.randn(50, 2)
    assert made.target_size == 15 + 12
    for task, start in enumerate((0, 2, 5)):
        logits = made.networks[task](inputs)
        assert logits.shape == (50, 2 + task)
        assert torch.equal(made.predict(inputs, task).output, logits.argmax(1) + start)


def test_state_holds_all_that_answers_depend_on() -> None:
    first, second = (learner("scratch", blobs(), seed=seed) for seed in (1, 2))
    second.load_state_dict(first.state_dict())
    inputs = torch.randn(200, 2)
    for task in range(3):
        assert torch.equal(first.predict(inputs, task).output, second.predict(inputs, task).output)
