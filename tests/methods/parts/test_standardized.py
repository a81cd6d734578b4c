"""Task inference by standardised scores: against their definitions, and what is measured when."""

from typing import Any

import pytest
import torch
from builders import ALONE, blobs, head_map, learned, learner, setup, small_target
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.methods.hnet import HNet
from hnet_cl.methods.parts import energy, max_logit
from hnet_cl.methods.parts.energy import Energy
from hnet_cl.methods.parts.max_logit import MaxLogit
from hnet_cl.methods.parts.task_networks import Candidates, SeparateNetworks

MAX_LOGIT = {"_target_": f"{max_logit.__name__}.MaxLogit", **ALONE}
ENERGY = {"_target_": f"{energy.__name__}.Energy", "temperature": 2.0, **ALONE}


def raw(rule: dict[str, Any], logits: Tensor) -> Tensor:
    """Minus the largest logit, or the energy at temperature 2, written out."""
    if rule is MAX_LOGIT:
        return -logits.max(-1).values
    return -2 * (logits / 2).exp().sum(-1).log()


@pytest.mark.parametrize("scenario", ["cl2", "cl3"])
@pytest.mark.parametrize("rule", [MAX_LOGIT, ENERGY], ids=["max_logit", "energy"])
@pytest.mark.parametrize("method", ["hnet", "scratch"])
def test_the_score_that_is_least_for_its_task_wins(method: str, rule: dict[str, Any], scenario: str) -> None:
    benchmark = blobs()
    made = learner(method, benchmark, scenario, task_inference=rule)
    means, deviations = [], []
    for number, task in enumerate(benchmark.tasks):
        made.begin_task(benchmark.tasks[: number + 1])
        for _ in range(20):
            made.step(*task.train.batch(slice(None)))
        made.end_task()
        inputs, _ = task.train.batch(slice(None))
        of_training = raw(rule, made.predict(inputs, number).logits)
        means.append(of_training.mean())
        deviations.append(of_training.std(correction=0))
    inputs = 3 * torch.randn(60, 2)
    of_tasks = torch.stack([raw(rule, made.predict(inputs, t).logits) for t in range(3)])
    scores = (of_tasks - torch.stack(means)[:, None]) / torch.stack(deviations)[:, None]
    answer = made.predict(inputs)
    torch.testing.assert_close(answer.task_score, scores.amin(0), rtol=1e-4, atol=1e-4)
    assert torch.equal(answer.task, scores.argmin(0)) and len(answer.task.unique()) > 1
    assert not torch.equal(answer.task, of_tasks.argmin(0)), "scales differ between tasks"


def test_by_hand() -> None:
    """Networks z = (w x, 0), w = 1 and 10: x = 3 is usual for the second, though its logit is ten times as large."""
    modules = nn.ModuleList(nn.Linear(1, 2, bias=False) for _ in range(2))
    with torch.no_grad():
        for module, w in zip(modules, (1.0, 10.0), strict=True):
            module.weight.copy_(torch.tensor([[w], [0.0]]))
    context = setup(head_map("cl2", (2, 2)))
    networks = SeparateNetworks(modules, context)
    rule = MaxLogit(MaxLogit.Settings(**ALONE), context, networks)
    splits = [Split(torch.tensor(x)[:, None], torch.zeros(2).long(), torch.clone) for x in ([4.0, 6.0], [2.0, 4.0])]
    for number, split in enumerate(splits):
        rule.begin_task([Task(number, "of two", split, split, 2)])
        rule.end_task()
    assert rule.means.tolist() == [-5.0, -30.0] and rule.deviations.tolist() == [1.0, 10.0]
    inferred = rule.infer(Candidates(networks, torch.tensor([[3.0], [8.0], [-1.0]]), 2))
    # z-scores of task 1: 2, -3, 5; of task 2: 0, -5, 3
    assert inferred.score.tolist() == [0.0, -5.0, 3.0] and inferred.task.tolist() == [1, 1, 1]
    same = Split(torch.ones(3, 1), torch.zeros(3).long(), torch.clone)
    rule.begin_task([Task(1, "of one", same, same, 2)])
    rule.end_task()
    assert rule.means.tolist() == [-5.0, -10.0] and rule.deviations.tolist() == [1.0, 1.0]


def test_absent_classes_have_no_energy() -> None:
    rule = Energy(Energy.Settings(temperature=1.0, images_per_decision=1), setup(head_map("cl3", (2, 3))), None)  # type: ignore[arg-type]
    logits = torch.tensor([[0.0, 0.0, -torch.inf], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(rule.raw(logits), -torch.tensor([2.0, 3.0]).log())


def test_what_was_measured_is_state_and_stays() -> None:
    benchmark = blobs()
    made = learned(learner("hnet", benchmark, "cl3", task_inference=MAX_LOGIT), benchmark, 2)
    rule: Any = made.task_inference
    first = rule.means[0].item()
    learned(made, benchmark, 1)  # the first task again, and nothing else
    assert rule.means[0].item() != first and rule.means[2].item() == 0
    other = learner("hnet", benchmark, "cl3", seed=2, task_inference=MAX_LOGIT)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other.task_inference.means, rule.means)
    assert torch.equal(other.task_inference.deviations, rule.deviations)


def test_measuring_leaves_running_statistics_alone() -> None:
    def normalised(outputs: int) -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(2), small_target(outputs))

    benchmark = blobs()
    made: HNet = learner("hnet", benchmark, "cl3", target=normalised, task_inference=MAX_LOGIT)
    learned(made, benchmark, 1, steps=4)
    assert made.networks.buffers[0]["0.num_batches_tracked"] == 4
