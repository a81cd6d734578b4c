"""Several images of one task decide together: scores are averaged, batches keep them together, and names tell it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from builders import ALONE, CLASSIFIER, ENTROPY, REPLAY, blobs, learned, learner
from processes import folder_of, in_process, result_of
from torch import Tensor

from hnet_cl.core.config_hash import config_id
from hnet_cl.core.older import GAINED
from hnet_cl.methods.parts.inference import entropy
from hnet_cl.methods.parts.task_networks import Candidates
from hnet_cl.predict import trained
from hnet_cl.training import evaluation

RULES: dict[str, dict[str, Any]] = {
    "entropy": {"_target_": ENTROPY, "temperature": 1.0},
    "gradient": {"_target_": "hnet_cl.methods.parts.entropy_gradient.EntropyGradient", "halving": False},
    "classifier": REPLAY | CLASSIFIER | {"targets": "hard"},
}


def made(rule: str, number: int) -> Any:
    """A learner of three tasks in CL3 whose rule decides for some images at a time."""
    benchmark = blobs()
    settings = RULES[rule] | {"images_per_decision": number}
    return learned(learner("hnet", benchmark, "cl3", task_inference=settings), benchmark, 3, steps=20)


def scores(learner: Any, rule: str, inputs: Tensor) -> Tensor:
    """The scores (3, b) of single inputs, of which the least wins."""
    if rule == "classifier":
        return -learner.task_inference.classifier.network(inputs).softmax(1).T
    if rule == "gradient":
        candidates = Candidates(learner.networks, inputs, 3)
        return learner.task_inference._slopes(candidates, torch.ones(3, len(inputs), dtype=torch.bool))
    return entropy(torch.stack([learner.predict(inputs, task).logits for task in range(3)]))


@pytest.mark.parametrize("rule", RULES)
def test_each_four_images_take_the_task_with_the_least_mean_score(rule: str) -> None:
    together = made(rule, 4)
    inputs = 3 * torch.randn(10, 2, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        single = scores(together, rule, inputs)
    answer = together.predict(inputs)
    expected = [part.mean(1).argmin().item() for part in single.split(4, dim=1)]  # of 4, 4 and 2 inputs
    assert answer.task.tolist() == [expected[0]] * 4 + [expected[1]] * 4 + [expected[2]] * 2
    best = [part.mean(1).min().item() for part in single.split(4, dim=1)]
    sign = -1 if rule == "classifier" else 1
    assert answer.task_score[::4].tolist() == pytest.approx([sign * value for value in best], rel=1e-4, abs=1e-6)
    assert answer.task.tolist() != single.argmin(0).tolist()
    alone = made(rule, 1).predict(inputs)
    assert torch.equal(alone.task, single.argmin(0))


def test_averages_by_hand() -> None:
    rule = made("entropy", 2).task_inference
    given = torch.tensor([[1.0, 3.0, 5.0], [0.0, 1.0, 9.0]])
    assert rule.averaged(given).tolist() == [[2.0, 2.0, 5.0], [0.5, 0.5, 9.0]]


def test_batches_of_a_test_keep_images_together() -> None:
    together, (task, *_) = made("entropy", 8), blobs().tasks
    expected = evaluation.test(together, task, 40)
    for batch_size in (1, 7, 8, 13):
        found = evaluation.test(together, task, batch_size)
        assert found[0] == expected[0] and torch.equal(found[1], expected[1])
    assert all(number % 8 == 0 for number in expected[1].tolist()), "40 images decide in groups of eight"


def test_one_image_per_decision_is_what_all_runs_before_had() -> None:
    for path in (ENTROPY, CLASSIFIER["_target_"]):
        rule = {"_target_": path, "temperature": 2.0}
        before, now, other = (
            config_id({"method": {"name": "hnet", "task_inference": rule | more}})
            for more in ({}, ALONE, {"images_per_decision": 2})
        )
        assert before == now != other and GAINED[path] == ALONE


@pytest.mark.parametrize(("images", "scenario", "name"), [(1, "cl3", "cl3"), (5, "cl3", None), (5, "cl1", "cl1")])
@pytest.mark.slow
def test_names_tell_of_the_protocol_and_single_images_decide_on_strangers(
    images: int, scenario: str, name: str | None, tmp_path: Path
) -> None:
    key = "method.task_inference.images_per_decision"
    words = ["benchmark=toy", "method=hnet_ent", f"scenario={scenario}", "training.iterations=10", f"{key}={images}"]
    done = in_process(*words, "benchmark.num_tasks=2", f"output_dir={tmp_path}")
    folder, name = folder_of(done), name or "cl3_5_images_per_decision"
    assert folder.parts[-3] == f"toy-{name}-hnet_ent" and result_of(folder)["scenario"] == name
    said = "Protocol: 5 test images at a time are known to be from one task, and decide on it together."
    eased = name not in ("cl1", "cl3")
    assert (said in done.stdout) == eased
    assert (f"(data: toy, {name})" in done.stdout) == eased
    assert trained.load(folder, "cpu").learner.images_per_decision == 1
