"""What is typed of a regulariser: by its key or as a choice of Hydra's, by names of today or of before."""

from pathlib import Path

import pytest
from in_process import command

from hnet_cl.config.typed_parts import as_choice, with_target


@pytest.mark.parametrize(
    ("typed", "choice"),
    [
        ("method.regularizer=explicit", "method/regularizer=explicit"),
        ("method.regularizer=fast,blocks", "method/regularizer=fast,blocks"),
        ("method.generator.regularizer=mine", "method/regularizer@method.generator.regularizer=mine"),
        (
            "method.task_inference.generator.regularizer=fast",
            "method/regularizer@method.task_inference.generator.regularizer=fast",
        ),
    ],
)
def test_a_key_is_a_choice(typed: str, choice: str) -> None:
    assert as_choice(typed) == choice


@pytest.mark.parametrize(
    "typed",
    [
        "method.regularizer.sampled_tasks=2",
        "method.regularizer={_target_: a.B}",
        "method.regularizer='a'",
        "method.regularizer=",
        "+method.regularizer=fast",
        "training.regularizer=fast",
        "method/regularizer=fast",
    ],
)
def test_all_else_stays(typed: str) -> None:
    assert as_choice(typed) == typed


def test_the_jobs_of_a_sweep_over_regularisers(tmp_path: Path) -> None:
    ended = command(tmp_path, "-m", "benchmark=toy", "method=hnet_r", "method.generator.regularizer=explicit,blocks")
    assert ended.code == 0, ended.err
    place = "method/regularizer@method.generator.regularizer"
    assert [job[-1] for job in ended.jobs] == [f"{place}=explicit", f"{place}=blocks"]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (
            "method.regularized_tasks=2",
            "method.regularized_tasks=2: is a key of the regulariser now; type method.regularizer.sampled_tasks=2",
        ),
        (
            "method.generator.regularized_blocks=64",
            "method.generator.regularized_blocks=64: is a regulariser of its own now; type "
            "method.generator.regularizer=blocks method.generator.regularizer.sampled_blocks=64",
        ),
        (
            "method.regularizer=fats",
            "method/regularizer=fats: no such choice; did you mean fast? there are blocks, explicit, fast",
        ),
        ("method=ewc method.regularizer=fast", "method/regularizer: method=ewc has no such part"),
        (
            "method=hnet_r method.regularizer=fast",
            "method/regularizer: method=hnet_r has no such part; did you mean method.generator.regularizer=NAME?",
        ),
        (
            "method.regularizer=blocks method.regularizer.sampled_tasks=2",
            "method.regularizer.sampled_tasks: no such key; did you mean method.regularizer.sampled_blocks?",
        ),
        (
            "method.regularizer=blocks method.regularizer.sampled_blocks=0",
            "method.regularizer.sampled_blocks=0: give a positive number, or null for all",
        ),
    ],
)
def test_mistakes_end_in_a_line(typed: str, line: str, tmp_path: Path) -> None:
    assert command(tmp_path, "benchmark=toy", *typed.split()).lines == [line]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["network=my.Net"], ["target=module", "target._target_=my.Net"]),
        (["network.width=3", "seed=1"], ["++target.width=3", "seed=1"]),
        (["+network.width=3"], ["++target.width=3"]),
        (["dataset.network=my.Net", "~network", "networks=1"], ["dataset.network=my.Net", "~network", "networks=1"]),
    ],
)
def test_a_network_is_short_for_a_target(typed: list[str], words: list[str]) -> None:
    assert with_target(typed) == words
