"""A run that stopped after a task goes on as if nothing had happened; foreign and damaged files are refused."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import begin, blobs, learner, same_state, training
from torch import nn

from hnet_cl.errors import UserError
from hnet_cl.methods.base import Learner
from hnet_cl.training import checkpoint
from hnet_cl.training.trainer import train

BENCHMARK = blobs()


def normalized(num_outputs: int) -> nn.Module:
    """A target with buffers."""
    return nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, num_outputs))


LEARNERS: dict[str, dict[str, Any]] = {
    "hnet": {"method": "hnet"},
    "hnet sampling tasks": {"method": "hnet", "regularized_tasks": 1},
    "hnet with buffers": {"method": "hnet", "target": normalized},
    "finetune": {"method": "finetune"},
    "finetune cl3": {"method": "finetune", "scenario": "cl3"},
    "scratch": {"method": "scratch"},
    "hnet_r": {"method": "hnet_r", "scenario": "cl3"},
    "hnet_tir": {"method": "hnet_tir", "scenario": "cl3"},
    "dgr": {"method": "dgr", "scenario": "cl3"},
}


def make(method: str, **choices: Any) -> Learner:
    made: Learner = learner(method, BENCHMARK, **choices)
    return made


def answers(learner: Learner) -> list[Any]:
    known = learner.heads.task_known
    return [learner.predict(t.test.images, t.id if known else None).output.tolist() for t in BENCHMARK.tasks]


@pytest.mark.parametrize("stop", [1, 2])
@pytest.mark.parametrize("choices", LEARNERS.values(), ids=LEARNERS.keys())
def test_continued_equals_uninterrupted(choices: dict[str, Any], stop: int, tmp_path: Path) -> None:
    whole = make(**choices)
    rows = list(train(whole, BENCHMARK.tasks, training(), 1, []))
    stopped = make(**choices)
    for number, row in enumerate(train(stopped, BENCHMARK.tasks, training(), 1, []), 1):
        assert row == rows[number - 1]
        if number == stop:
            checkpoint.save(tmp_path, "abc", stopped, {"tasks_done": number})
            break
    torch.rand(7)
    resumed = make(**choices)
    assert checkpoint.load(tmp_path, "abc", resumed) == {"tasks_done": stop}
    assert resumed.latest == stop - 1
    assert list(train(resumed, BENCHMARK.tasks, training(), 1, [], first=stop)) == rows[stop:]
    assert same_state(whole.state_dict(), resumed.state_dict())
    assert answers(whole) == answers(resumed)


@pytest.mark.parametrize("choices", LEARNERS.values(), ids=LEARNERS.keys())
def test_a_restored_learner_gives_the_same_answers(choices: dict[str, Any], tmp_path: Path) -> None:
    first, second = make(**choices), make(**choices, seed=2)
    list(train(first, BENCHMARK.tasks, training(), 1, []))
    for task in range(3):
        begin(second, task)
    before = answers(first)
    assert answers(second) != before
    checkpoint.save(tmp_path, "abc", first, {})
    checkpoint.load(tmp_path, "abc", second)
    assert answers(second) == before


def test_without_a_checkpoint_there_is_no_progress(tmp_path: Path) -> None:
    made = make("finetune")
    before = {name: p.clone() for name, p in made.named_parameters()}
    assert checkpoint.load(tmp_path, "abc", made) == {}
    assert same_state(before, dict(made.named_parameters()))


def test_a_checkpoint_of_another_configuration_is_refused_and_nothing_loaded(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "abc", make("finetune", seed=2), {})
    made = make("finetune")
    before = {name: p.clone() for name, p in made.named_parameters()}
    with pytest.raises(UserError, match=r"checkpoint\.pt: checkpoint of configuration abc, not xyz; give fresh=true"):
        checkpoint.load(tmp_path, "xyz", made)
    assert same_state(before, dict(made.named_parameters()))


def damaged(content: bytes) -> dict[str, bytes]:
    return {
        "cut": content[: len(content) // 2],
        "cut to a few bytes": content[:10],
        "empty": b"",
        "text": b"not a checkpoint\n",
        "a wrong byte inside": content[:-200] + b"\xff" + content[-199:],
    }


@pytest.mark.parametrize("kind", sorted(damaged(b"")))
def test_a_damaged_checkpoint_is_one_clear_line(kind: str, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "abc", make("finetune"), {})
    path = tmp_path / checkpoint.NAME
    path.write_bytes(damaged(path.read_bytes())[kind])
    assert_refused(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        torch.zeros(3),
        {"owner": "abc"},
        {"owner": "abc", "learner": {}},
    ],
)
def test_another_programs_file_is_one_clear_line(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / checkpoint.NAME)
    assert_refused(tmp_path)


class Stranger:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"owner": "abc", "learner": Stranger(tmp_path / "made")}, tmp_path / checkpoint.NAME)
    assert_refused(tmp_path)
    assert not (tmp_path / "made").exists()


def test_a_checkpoint_of_another_network_is_one_clear_line(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "abc", make("finetune", target=normalized), {})
    assert_refused(tmp_path)


def assert_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"checkpoint cannot be read \(.+\); give fresh=true") as caught:
        checkpoint.load(folder, "abc", make("finetune"))
    assert "\n" not in str(caught.value)
