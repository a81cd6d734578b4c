"""Reports of a search's job: what they tell, and when they stop it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from searches import search_settings

from hnet_cl.sweeps.errors import PrunedError
from hnet_cl.sweeps.pruning import listeners
from hnet_cl.sweeps.study import SharedStudy

TASKS = 4
RESULT = {
    **dict.fromkeys(("config_id", "benchmark", "scenario", "method"), "a"),
    **{"status": "running", "seed": 1, "num_tasks": TASKS, "accuracy_matrix": []},
    "data": {"name": "toy", "checksum": "1"},
}


def search(database: Path, direction: Any, metric: str, others: float) -> dict[str, Any]:
    """The configuration of a search in which two trials had `others` after each task, and a third one runs."""
    pruning = {"startup_trials": 2, "warmup_tasks": 1}
    url = f"sqlite:///{database}"
    settings = search_settings(url, direction=direction, n_trials=3, pruning=pruning, heartbeat=60)
    study = SharedStudy("s", "", {}, settings)
    *finished, running = [trial for trial, _ in study.ask(3)]
    for trial in finished:
        for task in range(TASKS):
            trial.report(others, task)
        study.tell(trial, others)
    return {"storage": url, "study_name": "s", "metric": metric, "pruning": pruning, "trial": running._trial_id}


def hear(sweeper: Mapping[str, Any], folder: Path, task: int, **metrics: float | None) -> None:
    """What a job of this search does when `task` is learned, up to the start of the next."""
    (folder / "result.json").write_text(json.dumps(RESULT | {"metrics": metrics}))
    (report,) = listeners(sweeper, folder)
    report.losses(task, 1, {"loss": 0.0})
    report.end_task(task)
    report.samples(task, None, [], 1.0)
    report.row(task, [], None)
    if task + 1 < TASKS:
        report.begin_task(task + 1, 0)


@pytest.mark.parametrize(
    ("direction", "metric", "others", "hopeless", "hopeful"),
    [("maximize", "acc", 0.8, 0.7, 0.9), ("minimize", "forgetting", 0.1, 0.2, 0.0)],
)
def test_a_hopeless_trial_is_stopped(
    direction: str, metric: str, others: float, hopeless: float, hopeful: float, database: Path, tmp_path: Path
) -> None:
    sweeper = search(database, direction, metric, others)
    hear(sweeper, tmp_path, 0, **{metric: hopeless})  # too early
    with pytest.raises(PrunedError, match=f"^pruned by the search after task 2: {metric} {hopeless:.4f} so far$"):
        hear(sweeper, tmp_path, 1, **{metric: hopeless})
    hear(sweeper, tmp_path, 2, **{metric: hopeful})


def test_a_job_that_was_killed_before_it_was_stopped_is_stopped_when_it_goes_on(database: Path, tmp_path: Path) -> None:
    sweeper = search(database, "maximize", "acc", 0.8)
    (tmp_path / "result.json").write_text(json.dumps(RESULT | {"metrics": {"acc": 0.7}}))
    for _ in range(2):  # the second time it has been told already
        (report,) = listeners(sweeper, tmp_path)
        with pytest.raises(PrunedError, match=r"^pruned by the search after task 2: acc 0\.7000 so far$"):
            report.begin_task(2, 150)


def test_what_is_not_defined_or_comes_last_is_not_told(database: Path, tmp_path: Path) -> None:
    sweeper = search(database, "maximize", "bwt", -0.1)
    hear(sweeper, tmp_path, 1, bwt=None)
    hear(sweeper, tmp_path, TASKS - 1, bwt=-0.9)
    study = optuna.load_study(study_name="s", storage=sweeper["storage"])
    assert study.trials[-1].intermediate_values == {}


@pytest.mark.parametrize(
    "sweeper", [{"_target_": "grid"}, {"trial": None, "pruning": {}}, {"trial": 3, "pruning": None}]
)
def test_nobody_listens_to_a_run_that_is_no_trial_or_not_to_be_stopped(sweeper: Any, tmp_path: Path) -> None:
    assert listeners(sweeper, tmp_path) == []
