"""Finding run folders, and the numbers and settings of a run."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_runs import readable, write_config, write_run
from states import state

from hnet_cl.core.errors import UserError
from hnet_cl.records.metrics_table import METRICS
from hnet_cl.records.recorder import RunRecorder
from hnet_cl.records.run_log import RunLog
from hnet_cl.report.runs import read_runs, shown


def test_runs_are_found_at_any_depth_and_once(tmp_path: Path) -> None:
    deep = write_run(tmp_path / "a" / "b", config="one")
    other = write_run(tmp_path, config="two")
    (tmp_path / ".hidden").mkdir()
    write_run(tmp_path / ".hidden", config="three")
    runs = readable(tmp_path, tmp_path / "a", deep)
    assert {run.folder for run in runs} == {deep, other} and len(runs) == 2


def test_runs_behind_links_are_found_once(tmp_path: Path) -> None:
    scratch_disk, outputs = tmp_path / "disk", tmp_path / "outputs"
    linked, deep = write_run(scratch_disk / "x", config="one"), write_run(scratch_disk / "y" / "z", config="two")
    own = write_run(outputs, config="three")
    (outputs / "deeper").mkdir()
    (outputs / "a_run").symlink_to(linked)
    (outputs / "a_run_again").symlink_to(linked)
    (outputs / "deeper" / "y").symlink_to(scratch_disk / "y", target_is_directory=True)
    (outputs / "gone").symlink_to(tmp_path / "nothing")
    places = {run.folder for run in readable(outputs)}
    assert places == {outputs / "a_run", own, outputs / "deeper" / "y" / "z" / deep.relative_to(scratch_disk / "y/z")}


def test_loops_of_links_end(tmp_path: Path) -> None:
    outside = write_run(tmp_path / "other", config="other")
    run = write_run(tmp_path / "outputs" / "a")
    (tmp_path / "outputs" / "itself").symlink_to("itself")
    (tmp_path / "outputs" / "a" / "up").symlink_to(tmp_path)  # leads to what was not asked for
    (tmp_path / "outputs" / "b").mkdir()
    (tmp_path / "outputs" / "b" / "there").symlink_to(tmp_path / "outputs" / "c")
    (tmp_path / "outputs" / "c").mkdir()
    (tmp_path / "outputs" / "c" / "back").symlink_to(tmp_path / "outputs" / "b")
    assert [found.folder for found in readable(tmp_path / "outputs")] == [run]
    (tmp_path / "outputs" / "c" / "other").symlink_to(outside)
    assert len(readable(tmp_path / "outputs")) == 2


def test_what_the_recorder_wrote_is_read(tmp_path: Path) -> None:
    recorded = state(tmp_path / "run")
    recorder = RunRecorder(recorded)
    kept = {"network": 100}
    log = RunLog(recorded, [recorder], {}, lambda: kept)
    log.row(0, [1.0, None])
    kept["examples"] = 50
    log.row(1, [0.5, 1.0])
    recorder.finish(recorded)
    (run,) = readable(tmp_path)
    expected = {"acc": 0.75, "during": 1.0, "bwt": -0.5, "forgetting": 0.5, "majority": 0.5, "parameters.trainable": 10}
    expected |= {"memory": 150, "memory_bytes.examples": 50}
    assert {name: run.metrics[name] for name in expected} == pytest.approx(expected)
    assert run.result.status == "finished"
    assert run.result.memory_bytes == {"total": 150, "network": 100, "examples": 50}


def test_memory_of_a_run_of_an_older_version_is_unknown(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_run(tmp_path, "bbbbbbbb", memory_bytes={"total": 2_500_000, "network": 2_500_000})
    old, new = readable(tmp_path)
    assert "memory" not in old.metrics and old.result.memory_bytes is None
    assert METRICS["memory"].in_unit(new.metrics["memory"]) == "2.50 MB"


@pytest.mark.parametrize(
    ("written", "overrides", "name"),
    [
        ("mnist_5k", ["dataset.name=mnist"], "mnist_5k"),
        (None, ["dataset.name=cifar10"], "cifar10"),
        (None, [], "mnist"),
    ],
)
def test_the_dataset_of_a_run_of_any_version(
    written: str | None, overrides: list[str], name: str, tmp_path: Path
) -> None:
    write_run(tmp_path, dataset=written, overrides=overrides)
    (run,) = readable(tmp_path)
    assert run.value("dataset") == run.facts["dataset"] == name


def test_metrics_follow_from_the_matrix_whatever_the_file_says(tmp_path: Path) -> None:
    write_run(tmp_path, metrics={"acc": 0.1, "forgetting": None, "majority": 0.5, "novel": 0.25})
    (run,) = readable(tmp_path)
    assert (run.metrics["acc"], run.metrics["forgetting"]) == (0.9, pytest.approx(0.2))
    assert run.metrics["novel"] == 0.25 and "metrics.acc" not in run.metrics


def test_the_unreadable_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    write_run(tmp_path)
    broken = write_run(tmp_path, config="broken")
    (broken / "result.json").write_text("{")
    died = tmp_path / "died"
    (died / ".hydra").mkdir(parents=True)
    folder = tmp_path / "folder"
    (folder / ".hydra").mkdir(parents=True)
    (folder / "result.json").mkdir()
    runs, unreadable = read_runs([tmp_path])
    assert len(runs) == 1
    reasons = {found.folder: found.reason for found in unreadable}
    assert reasons.keys() == {broken, died, folder}
    assert reasons[broken].startswith("result.json is not a result of hnet_cl (not JSON: ")
    assert reasons[died] == "no result.json: it failed before training, or is about to begin"
    assert reasons[folder] == "result.json: Is a directory"


def test_a_closed_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(root: Path, onerror: Callable[[OSError], None], followlinks: bool) -> list[Any]:
        onerror(PermissionError(13, "Permission denied", f"{root}/closed"))
        return []

    monkeypatch.setattr(os, "walk", walk)
    _, (found,) = read_runs([tmp_path])
    assert (found.folder, found.reason) == (tmp_path / "closed", "Permission denied")


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing", "no such folder"), ("file", "not a folder"), (".", "no runs there; looked for .* result.json")],
)
def test_nothing_to_read(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f": {message}"):
        read_runs([tmp_path / name])


def test_values_come_from_the_result_the_configuration_and_what_was_typed(tmp_path: Path) -> None:
    folder = write_run(tmp_path, overrides=["method.beta=1e-2", "+extra.key=a b\n", "~target.hidden", "seed=1"])
    write_config(folder, "seed: 1\nmethod:\n  beta: 0.01\n  hidden: [25, 25]\n  mask: null\n  fast: true\n")
    (run,) = readable(tmp_path)
    assert run.value("method") == "hnet" and run.value("parameters.trainable") == "1000"
    assert run.value("method.beta") == "0.01" and run.value("method.hidden") == "[25,25]"
    assert run.value("method.mask") == "null" and run.value("method.fast") == "true"
    assert run.value("extra.key") == "a b" and run.value("nowhere") is None
    assert run.typed == {
        "method.beta": "method.beta=1e-2",
        "extra.key": "+extra.key=a b",
        "target.hidden": "~target.hidden",
    }
    assert "seed" not in run.settings


@pytest.mark.parametrize("text", ["a: [", "- 1", "a: !!python/object:os.system {}", "\x00"])
def test_a_configuration_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    write_config(write_run(tmp_path), text)
    (run,) = readable(tmp_path)
    assert run.settings == {} and run.value("method.beta") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (1e-05, "1e-05"), (1.0, "1"), (1 / 3, str(1 / 3)), (3, "3"), ("a\x1b[", "a�[")],
)
def test_values_as_text(value: Any, text: str) -> None:
    assert shown(value) == text


def test_settings_of_earlier_versions_have_the_names_of_this_one(tmp_path: Path) -> None:
    now = {"method": {"regularizer": {"_target_": "hnet_cl.hypernet.GramRegularizer", "sampled_tasks": 2}}}
    then = {"method": {"regularizer": "fast", "regularized_tasks": 2, "regularized_blocks": None}}
    folders = [write_run(tmp_path, config=name) for name in ("now", "then")]
    for folder, config in zip(folders, (now, then), strict=True):
        write_config(folder, yaml.safe_dump(config))
    first, second = (run.settings for run in readable(*folders))
    assert first == second and first["method.regularizer.sampled_tasks"] == 2
