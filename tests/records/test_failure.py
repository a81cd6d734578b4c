"""What a run that failed early leaves behind, and what it leaves alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_cli import KEYS

from hnet_cl.core.config_hash import config_id
from hnet_cl.records.failure import record_failure
from hnet_cl.records.run_folder import read_result

CONFIG: dict[str, Any] = {
    "benchmark": {"name": "smnist"},
    "scenario": {"name": "cl2"},
    "method": {"name": "hnet"},
    "seed": 3,
}


def test_a_run_without_results_is_a_result_with_every_key(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "seed=3"
    record_failure(folder, CONFIG, ["seed=3"], "no data")
    result = read_result(folder)
    assert result and result.keys() == KEYS - {"score"}  # nobody knows yet what its tasks are
    assert (result["status"], result["error"], result["tasks_done"]) == ("failed", "no data", 0)
    assert [result[key] for key in ("benchmark", "scenario", "method", "seed")] == ["smnist", "cl2", "hnet", 3]
    assert result["overrides"] == ["seed=3"] and result["accuracy_matrix"] == []
    assert set(result["metrics"].values()) == {None}
    assert (result.num_tasks, result.data.name, result.dataset) == (0, "unknown", None)
    record_failure(tmp_path / "other", CONFIG | {"dataset": {"name": "mnist"}}, [], "no data")
    assert read_result(tmp_path / "other")["dataset"] == "mnist"


@pytest.mark.parametrize(
    ("before", "after"), [("interrupted", "failed"), ("failed", "failed"), ("finished", "finished")]
)
def test_earlier_results_stay(before: str, after: str, tmp_path: Path) -> None:
    earlier = {"status": before, "error": None, "tasks_done": 2, "accuracy_matrix": [[0.5, None], [0.25, 0.75]]}
    earlier |= {"benchmark": "smnist", "scenario": "cl2", "method": "hnet", "num_tasks": 2}
    earlier |= {"config_id": config_id(CONFIG), "seed": 3, "data": {"name": "mnist", "checksum": "c0ffee"}}
    (tmp_path / "result.json").write_text(json.dumps(earlier))
    record_failure(tmp_path, CONFIG, [], "diverged")
    error = "diverged" if after == "failed" else None
    assert read_result(tmp_path) == earlier | {"status": after, "error": error}


@pytest.mark.parametrize("name", ["result.json", "notes.txt"])
def test_somebody_elses_folder_is_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"status": "running"}')
    record_failure(tmp_path, CONFIG, [], "diverged")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"status": "running"}'


def test_a_folder_that_cannot_be_written_hides_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    record_failure(tmp_path / "file" / "seed=3", CONFIG, [], "no data")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
