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


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("method=er", "method=er with 2 processes (torchrun): it is defined for one process; use hnet, scratch,"),
        (
            "method=hnet_tir scenario=cl2",
            "method=hnet_tir with 2 processes (torchrun): its rule of task inference learns from batches",
        ),
        ("training.batch_size=1", "training.batch_size=1 with 2 processes (torchrun): leaves nothing to some of them"),
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


def plan(batch_size: int = 2, graph: bool = False) -> Any:
    return SimpleNamespace(
        method_class=Finetune,
        method=SimpleNamespace(name="finetune"),
        device=SimpleNamespace(graph=graph),
        training=SimpleNamespace(batch_size=batch_size),
    )


def test_captured_steps_are_refused_for_several_processes_alone() -> None:
    check_processes(plan(graph=True), Place())
    check_processes(plan(), Place(0, 2, 0, 2))
    with pytest.raises(UserError, match=r"^device\.graph=true with 2 processes \(torchrun\): "):
        check_processes(plan(graph=True), Place(0, 2, 0, 2))
