"""Run folders of versions that had other keys: read by report and predict, found and continued by the same command."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from in_process import command
from marks import thinned
from processes import folder_of, in_process, result_of

from hnet_cl.predict.trained import load
from hnet_cl.report.runs import read_runs

WORDS = ["benchmark=toy", "method=hnet", "benchmark.num_tasks=2", "training.iterations=2", "device.threads=1"]


def age(folder: Path, status: str) -> None:
    """Makes a run folder what it would have been before `strength`, `compression` and the keys of benchmarks."""
    path = folder / ".hydra" / "config.yaml"
    config: Any = yaml.safe_load(path.read_text())
    config["method"]["beta"] = config["method"].pop("strength")
    del config["method"]["hypernet"]["compression"]
    del config["benchmark"]["pixel_noise"], config["benchmark"]["fisher_samples"]
    path.write_text(yaml.safe_dump(config))
    result = result_of(folder) | {"status": status}
    result["overrides"] = [word.replace("strength", "beta") for word in result["overrides"]]
    del result["preset"], result["target"], result["parameters"]["generated"]
    (folder / "result.json").write_text(json.dumps(result))


def test_runs_of_before_are_read_found_and_continued(tmp_path: Path) -> None:
    words = [*WORDS, "method.strength=0.5", f"output_dir={tmp_path}"]
    folder = folder_of(in_process(*words))
    matrix = result_of(folder)["accuracy_matrix"]
    age(folder, "finished")
    ((run,), unreadable) = read_runs([tmp_path])
    assert unreadable == [] and run.settings["method.strength"] == 0.5 and "method.beta" not in run.settings
    assert run.typed["method.strength"] == "method.strength=0.5"
    assert load(folder, "cpu").plan.method.strength == 0.5
    again = in_process(*words)
    assert folder_of(again) == folder and again.stdout.startswith("This run is finished already")
    age_again = result_of(folder)
    assert "preset" not in age_again
    (folder / "result.json").write_text(json.dumps(age_again | {"status": "interrupted"}))
    assert folder_of(in_process(*words)) == folder
    result = result_of(folder)
    assert (result["status"], result["accuracy_matrix"], result["preset"]) == ("finished", matrix, "toy/hnet")


MISTAKES = [
    ("method.beta=1", "method.beta: is called method.strength now"),
    ("+method.beta=1", "method.beta: is called method.strength now"),
    (
        "method=hnet_tir scenario=cl3 method.task_inference.generator.beta=1",
        "method.task_inference.generator.beta: is called method.task_inference.generator.strength now",
    ),
    (
        "method=hnet_r,hnet method.generator.beta=1 -m",
        "method.generator.beta: is called method.generator.strength now",
    ),
    ("preset=smnist/hnt", "preset=smnist/hnt: no such choice; did you mean smnist/hnet?"),
    ("experiment=smnist", "experiment=smnist: no such choice; did you mean smnist_owm? there are compare, "),
]


@pytest.mark.parametrize(("words", "line"), thinned(MISTAKES, 3))
def test_old_keys_and_wrong_names_are_one_line(words: str, line: str, tmp_path: Path) -> None:
    lines = command(tmp_path, *words.split()).lines
    assert lines[0].startswith(line)
