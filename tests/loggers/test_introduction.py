"""What a run says before it trains."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hnet_cl.loggers.introduction import print_introduction

SIZES = {"trainable": 1170, "target": 184, "generated": 184, "compression_ratio": 1170 / 184}


def said(*jobs: tuple[Path, str, list[str]], sizes: Any = SIZES) -> list[str]:
    """The lines of runs that write to one stream, each with its folder, its label and what was chosen for it."""
    stream = io.StringIO()
    for folder, label, choices in jobs:
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"method": "hnet", "benchmark": "toy", "preset": None, "parameters": sizes}
        print_introduction(facts, "Data.", choices, folder, label, Console(file=stream, width=200))
        (folder / "result.json").touch()
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        (SIZES, "Sizes: target network 184 weights, 1,170 trainable in all (compression ratio 6.36)."),
        ({**SIZES, "generated": None, "trainable": 184}, "Sizes: network 184 weights."),
        ({**SIZES, "generated": None}, "Sizes: network 184 weights, 1,170 trainable in all."),
    ],
)
def test_sizes_speak_of_compression_only_with_a_hypernetwork(sizes: Any, line: str, tmp_path: Path) -> None:
    assert said((tmp_path / "seed=1", "", ["Chosen."]), sizes=sizes) == [
        "Hyperparameters of hnet on toy: the method's own defaults.",
        line,
        "Data.",
        "Chosen.",
    ]


def test_jobs_of_a_sweep_say_once_what_was_chosen_for_several_of_them(tmp_path: Path) -> None:
    part, chunks, other = "Chosen by training.parameters.", "Chosen by compression.", "Chosen by another one."
    one, two, three = (
        (tmp_path / "a" / "seed=1", "a", [part, chunks]),
        (tmp_path / "a" / "seed=2", "a, 2", [part, chunks]),
        (tmp_path / "b" / "seed=1", "b", [part, other]),
    )
    assert said(one, two, three) == [f"a: {part}", f"a: {chunks}", f"b: {other}"]
    again = ((tmp_path / name / "seed=1", name, [part]) for name in ("c", "d"))
    assert said(*again) == [f"c: {part}"], "another sweep says it again"
