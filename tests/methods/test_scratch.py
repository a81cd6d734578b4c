"""From scratch: networks that know nothing of each other."""

import pytest
import torch
import torch.nn.functional as F
from builders import adam, begin, blobs, head_map, learned, learner, setup, small_target
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
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
    made = Scratch(learner("scratch", blobs()).settings, setup(head_map("cl1", (2, 3, 4))))
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


@pytest.mark.parametrize(("scenario", "outputs", "starts"), [("cl2", 2, (0, 0, 0)), ("cl3", 6, (0, 2, 4))])
def test_the_surest_of_the_networks_answers(scenario: str, outputs: int, starts: tuple[int, ...]) -> None:
    benchmark = blobs()
    made = learned(learner("scratch", benchmark, scenario), benchmark, 3, steps=20)
    inputs, _ = benchmark.tasks[1].test.batch(slice(None))
    with torch.no_grad():
        of_tasks = [network(inputs) for network in made.networks]
    assert all(logits.shape == (len(inputs), outputs) for logits in of_tasks)
    p = torch.stack([z[:, start : start + 2].softmax(1) for z, start in zip(of_tasks, starts, strict=True)])
    entropies = -(p * p.log()).sum(2)
    answer = made.predict(inputs)
    assert torch.equal(answer.task, entropies.argmin(0)) and len(answer.task.unique()) > 1
    torch.testing.assert_close(answer.task_score, entropies.min(0).values)
    for i, task in enumerate(answer.task.tolist()):
        assert answer.output[i] == p[task, i].argmax() + starts[task]
        network, own = made.task_network(task)
        assert answer.output[i] == network(inputs[i : i + 1])[0, own].argmax() + starts[task]


def test_only_the_tasks_own_outputs_are_trained_in_cl3() -> None:
    made = learner("scratch", blobs(), "cl3", target=lambda outputs: nn.Linear(2, outputs))
    before = made.networks[1].weight.detach().clone()
    begin(made, 0)
    begin(made, 1)
    for _ in range(5):
        made.step(torch.randn(8, 2), torch.randint(2, (8,)))
    changed = (made.networks[1].weight != before).any(1)
    assert changed.tolist() == [False, False, True, True, False, False]


def test_a_rule_that_learns_learns_beside_the_networks() -> None:
    benchmark = blobs()
    rule = learner("hnet_tir", benchmark, "cl3").settings.task_inference
    made = learned(learner("scratch", benchmark, "cl3", task_inference=rule), benchmark, 3, steps=20)
    hnet = learned(learner("hnet_tir", benchmark, "cl3"), benchmark, 3, steps=20)
    inputs, _ = benchmark.tasks[0].test.batch(slice(None))
    assert torch.equal(made.predict(inputs).task, hnet.predict(inputs).task), "the same classifier of tasks"
    names = made.step(*benchmark.tasks[2].train.batch(slice(None))).keys()
    assert {"loss", "task_inference/loss"} <= names
    assert len(made.optimizers()) == 1 + len(made.task_inference.optimizers()) > 1
    assert made.training_state().keys() == {"optimizer"} | {
        f"task inference {name}" for name in made.task_inference.training_state()
    }


def test_a_task_that_is_given_is_not_inferred() -> None:
    benchmark = blobs()
    made = learned(learner("scratch", benchmark, "cl1"), benchmark, 3)
    assert not made.state_dict().keys() - {f"networks.{name}" for name in made.networks.state_dict()} - {"_extra_state"}
    answer = made.predict(torch.randn(5, 2), 1)
    assert answer.task is None and answer.task_score is None


class KeepsAnAlias(nn.Linear):
    """A layer that uses its weight by another tensor, which cannot be exchanged."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__(2, num_outputs)
        self.same = [self.weight.detach()]

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.same[0].T + self.bias + 0 * self.weight.sum()


def test_a_network_whose_weights_cannot_be_passed_in_is_refused_where_tasks_are_inferred() -> None:
    learner("scratch", blobs(), "cl1", target=KeepsAnAlias).inspect(torch.randn(2, 2))
    for rule in (learner(name, blobs(), "cl3").settings.task_inference for name in ("hnet_ent", "hnet_tir")):
        made = learner("scratch", blobs(), "cl3", target=KeepsAnAlias, task_inference=rule)
        with pytest.raises(UserError, match="KeepsAnAlias: gives other outputs when its parameters are passed in"):
            made.inspect(torch.randn(2, 2))


class PartlyFrozen(nn.Sequential):
    """Two layers, of which the first is not trained."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, num_outputs))
        self[0].requires_grad_(False)


def test_what_is_not_trained_comes_from_the_state_too() -> None:
    benchmark = blobs()
    first, second = (learner("scratch", benchmark, "cl3", seed=seed, target=PartlyFrozen) for seed in (1, 2))
    learned(first, benchmark, 3)
    inputs = 3 * torch.randn(20, 2)
    second.inspect(inputs)
    second.load_state_dict(first.state_dict())
    for one, other in zip(second.predict(inputs), first.predict(inputs), strict=True):
        assert torch.equal(one, other)


def test_what_is_not_trained_is_kept_once() -> None:
    made, trained = learner("scratch", blobs(), target=PartlyFrozen), 5 * 2 + 2
    assert len({network[0].weight.data_ptr() for network in made.networks}) == 1
    assert made.kept_bytes() == {"networks": 4 * ((2 * 5 + 5) + 3 * trained)}
    state = made.state_dict()
    learned(made, blobs(), 3, steps=1)
    for network in made.networks:
        assert torch.equal(network[0].weight, state["networks.0.0.weight"])
        assert not torch.equal(network[2].weight, made.networks[0][2].weight) or network is made.networks[0]
