"""Fine-tuning: plain training in all three scenarios."""

import copy

import pytest
import torch
import torch.nn.functional as F
from builders import adam, begin, blobs, learner

# outputs under the softmax while each task is learned, and the start of its labels
SCENARIOS = {
    "cl1": ([(0, 2), (2, 4), (4, 6)], [0, 2, 4]),
    "cl2": ([(0, 2)] * 3, [0, 0, 0]),
    "cl3": ([(0, 2), (0, 4), (0, 6)], [0, 2, 4]),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_steps_are_plain_training(scenario: str) -> None:
    spans, starts = SCENARIOS[scenario]
    made = learner("finetune", blobs(), scenario)
    network = copy.deepcopy(made.network)
    for task, (start, stop) in enumerate(spans):
        begin(made, task)
        optimizer = adam(network.parameters())  # a new one with each task
        for _ in range(3):
            inputs, labels = torch.randn(8, 2), torch.randint(2, (8,))
            optimizer.zero_grad()
            loss = F.cross_entropy(network(inputs)[:, start:stop], labels + starts[task] - start)
            loss.backward()
            optimizer.step()
            torch.testing.assert_close(made.step(inputs, labels), {"loss": loss.detach()})
        made.end_task()
        torch.testing.assert_close(list(made.network.parameters()), list(network.parameters()))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_answers_are_read_where_the_scenario_says(scenario: str) -> None:
    spans, _ = SCENARIOS[scenario]
    made = learner("finetune", blobs(), scenario)
    inputs = torch.randn(50, 2)
    logits = made.network(inputs)
    for latest in range(3):
        begin(made, latest)
        told = 0 if scenario == "cl1" else None
        start, stop = spans[0] if scenario == "cl1" else spans[latest]
        assert torch.equal(made.predict(inputs, told).output, logits[:, start:stop].argmax(1) + start)


def test_dropout_is_on_in_training_and_off_in_answers() -> None:
    def target(num_outputs: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(2, num_outputs), torch.nn.Dropout(0.5))

    made = learner("finetune", blobs(), target=target)
    begin(made, 0)
    modes = []
    made.network.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    made.step(torch.randn(8, 2), torch.randint(2, (8,)))
    made.predict(torch.randn(8, 2), 0)
    made.step(torch.randn(8, 2), torch.randint(2, (8,)))
    assert modes == [True, False, True]


@pytest.mark.parametrize(("scenario", "size"), [("cl1", 51), ("cl2", 27), ("cl3", 51)])
def test_target_size(scenario: str, size: int) -> None:
    assert learner("finetune", blobs(), scenario).target_size == size


def test_state_holds_all_that_answers_depend_on() -> None:
    first, second = (learner("finetune", blobs(), "cl3", seed=seed) for seed in (1, 2))
    begin(first, 1)
    second.load_state_dict(first.state_dict())
    inputs = torch.randn(200, 2)
    assert torch.equal(first.predict(inputs).output, second.predict(inputs).output)
    assert first.predict(inputs).output.max() < 4
