"""What is typed and does not count is said."""

from pathlib import Path

import pytest
from processes import in_process

from hnet_cl.config.without_effect import without_effect

SETTINGS = {
    "scenario": {"name": "cl1", "task_known": True},
    "training": {"parameters": "all"},
    "method": {"weights": "frozen"},
}
LORA = {"training": {"parameters": "lora+head"}}
INFERRED = {"scenario": {"name": "cl3", "task_known": False}}


@pytest.mark.parametrize(
    ("typed", "changes", "lines"),
    [
        (
            ["method/task_inference=entropy"],
            {},
            ["method/task_inference=entropy: has no effect with scenario=cl1, where the task is given at test time."],
        ),
        (["method/task_inference=entropy", "++method.task_inference.images_per_decision=10"], INFERRED, []),
        (["training.lora_rank=8"], {}, ["training.lora_rank=8: has no effect without training.parameters=lora."]),
        (["training.lora_rank=8"], LORA, []),
        (["method.held=5"], {}, ["method.held=5: has no effect with method.weights=frozen."]),
        (["method.held=5"], {"method": {"weights": "trained"}}, []),
        (["seed=1", "method=ewc"], {}, []),
    ],
)
def test_a_line_for_each(typed: list[str], changes: dict[str, object], lines: list[str]) -> None:
    assert [*without_effect(typed, SETTINGS | changes)] == lines


def test_a_run_says_it_before_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = in_process("benchmark=toy", "benchmark.num_tasks=2", "training.iterations=2", "training.lora_rank=8")
    said = "training.lora_rank=8: has no effect without training.parameters=lora.\n"
    assert done.returncode == 0 and said in done.stdout.partition("task 1/2")[0]
