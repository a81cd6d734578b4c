"""What several processes cannot share is refused in one line, before anything is written."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from in_process import command, left
from ranks import environment

from hnet_cl.config.check_processes import check_processes
from hnet_cl.core.errors import UserError
from hnet_cl.core.processes import Place
from hnet_cl.methods.finetune import Finetune
from hnet_cl.methods.hnet import HNet
from hnet_cl.methods.parts.inference import Entropy, Given
from hnet_cl.methods.parts.task_classifier import TaskClassifier


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("method=er", "method=er with 2 processes (torchrun): it is defined for one process; use hnet, scratch,"),
        ("--multirun seed=1,2", "torchrun shares one run among processes, and this is a sweep"),
    ],
)
def test_what_cannot_be_shared_is_one_line(
    words: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(0, 2, 29500).items():
        monkeypatch.setenv(name, value)
    (said,) = command(tmp_path, "benchmark=toy", *words.split()).lines
    assert said.startswith(line)
    assert left(tmp_path) == []


def plan(kind: str = "cpu", graph: bool = False, batch_size: int = 2) -> Any:
    return SimpleNamespace(
        method_class=Finetune,
        method=SimpleNamespace(name="finetune"),
        device=SimpleNamespace(type=kind, graph=graph),
        training=SimpleNamespace(batch_size=batch_size),
    )


def test_captured_steps_are_refused_for_several_processes_alone() -> None:
    check_processes(plan(graph=True), Place())
    check_processes(plan(), Place(0, 2, 0, 2))
    with pytest.raises(UserError, match=r"^device\.graph=true with 2 processes \(torchrun\): "):
        check_processes(plan(graph=True), Place(0, 2, 0, 2))


def test_each_process_needs_an_example() -> None:
    with pytest.raises(
        UserError, match=r"^training\.batch_size=1 with 2 processes .* some of them; give at least 2, or"
    ):
        check_processes(plan(batch_size=1), Place(0, 2, 0, 2))


@pytest.mark.parametrize(("kind", "learns"), [(TaskClassifier, True), (Entropy, False), (Given, False)])
def test_a_rule_that_learns_from_batches_is_refused(kind: type, learns: bool) -> None:
    reason = HNet.unsupported_processes(SimpleNamespace(task_inference=SimpleNamespace(kind=kind)))
    assert (reason is not None and reason.startswith("its rule of task inference learns from batches")) == learns


def test_each_process_needs_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    check_processes(plan("cuda"), Place(0, 2, 0, 2))
    with pytest.raises(
        UserError, match=r"^device=cuda .* 3 of them .* need a GPU each, and torch finds 2; start fewer$"
    ):
        check_processes(plan("cuda"), Place(0, 3, 0, 3))
