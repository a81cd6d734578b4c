"""What the words of `python -m hnet_cl.compare` are short for."""

import importlib.util
import os
from collections.abc import Sequence

import pytest

from hnet_cl.config.compare_words import launcher_for, sweep_words
from hnet_cl.config.composing import swept_by

CHOSEN = ["hydra/sweeper=compare", "hydra/launcher=local", "--multirun"]


@pytest.fixture(autouse=True)
def two_cores_and_joblib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ([], ["experiment=compare", *CHOSEN]),
        (["dataset=mnist", "seeds=5"], ["experiment=compare", "dataset=mnist", "seeds=5", *CHOSEN]),
        (["dataset=folder"], ["experiment=compare", "dataset=folder", "target=convnet", *CHOSEN]),
        (["dataset=folder", "network=a.B"], ["experiment=compare", "dataset=folder", "network=a.B", *CHOSEN]),
        (["experiment=mine", "-m"], ["experiment=mine", "-m", *CHOSEN[:2]]),
        (["hydra/launcher=basic", "hydra/sweeper=grid"], ["experiment=compare", "hydra/launcher=basic", *CHOSEN[2:]]),
        (["device=cuda"], ["experiment=compare", "device=cuda", CHOSEN[0], "hydra/launcher=one_process", CHOSEN[2]]),
        (["--cfg", "job"], ["experiment=compare", "--cfg", "job"]),
    ],
)
def test_what_is_typed_stays(typed: Sequence[str], words: list[str]) -> None:
    found = sweep_words(typed)
    assert [word for word in found if word != "hydra/sweeper=grid"] == words
    assert ("hydra/sweeper=grid" in found) == ("hydra/sweeper=grid" in typed)


def test_one_job_after_another_where_nothing_else_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert launcher_for(["dataset=mnist"]) is None
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert launcher_for(["dataset=mnist"]) == "local"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "joblib" else name)
    assert launcher_for(["dataset=mnist"]) is None


def test_what_an_experiment_sweeps_over() -> None:
    assert swept_by("compare") == {"method": ["hnet", "finetune", "joint", "ewc", "er"], "seed": ["1", "2", "3"]}
