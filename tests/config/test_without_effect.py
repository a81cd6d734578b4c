"""What is typed and does not count is said."""

from pathlib import Path

import pytest
from processes import in_process

from hnet_cl.config.check import check
from hnet_cl.config.composing import compose_job
from hnet_cl.config.without_effect import without_effect

CL3 = ("method=hnet_ent", "scenario=cl3")
LORA = "training.parameters=lora+head"


@pytest.mark.parametrize(
    ("typed", "beside", "lines"),
    [
        (
            ["method/task_inference=entropy"],
            [],
            ["method/task_inference=entropy: has no effect with scenario=cl1, where the task is given at test time."],
        ),
        (["method/task_inference=entropy", "++method.task_inference.images_per_decision=10"], CL3, []),
        (["training.lora_rank=8"], [], ["training.lora_rank=8: has no effect without training.parameters=lora."]),
        (["training.lora_rank=8"], [LORA], []),
        (
            ["method.held=5.0"],
            ["method=hypermask", "method.weights=frozen"],
            ["method.held=5.0: has no effect with method.weights=frozen."],
        ),
        (["method.held=5.0"], ["method=hypermask"], []),
        (["seed=1", "method=ewc"], [], []),
    ],
)
def test_a_line_for_each(typed: list[str], beside: list[str], lines: list[str]) -> None:
    words = ["benchmark=toy", *beside, *typed]
    plan = check(compose_job(words, None).settings)
    assert [*without_effect(words, plan)] == lines


def test_a_run_says_it_before_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = in_process("benchmark=toy", "benchmark.num_tasks=2", "training.iterations=2", "training.lora_rank=8")
    said = "training.lora_rank=8: has no effect without training.parameters=lora.\n"
    assert done.returncode == 0 and said in done.stdout.partition("task 1/2")[0]
