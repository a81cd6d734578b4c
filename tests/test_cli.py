"""The command line as a user meets it: processes of their own, files on disk, one line for each mistake."""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from processes import folder_of, hnet_cl, losses_of, mistake, result_of

from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.help_text import GROUPS
from hnet_cl.datasets.mnist import CHECKSUMS

SMALL = ("benchmark=toy", "benchmark.spread=0.6", "training.iterations=40", "training.log_every=10", "device.threads=1")
KEYS = {
    *(
        "schema",
        "status",
        "error",
        "config_id",
        "benchmark",
        "dataset",
        "scenario",
        "method",
        "target",
        "preset",
        "seed",
        "score",
        "overrides",
        "num_tasks",
    ),
    *(
        "tasks_done",
        "accuracy_matrix",
        "certified_matrix",
        "inferred_tasks",
        "window",
        "metrics",
        "iterations",
        "wall_time_s",
        "train_time_s",
        "peak_memory_mb",
        "memory_bytes",
    ),
    *("parameters", "data", "in_shape", "tasks", "device", "versions", "git_commit", "command"),
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def done(outputs: Path) -> subprocess.CompletedProcess[str]:
    """One short run."""
    return hnet_cl(*SMALL, f"output_dir={outputs}")


class TestRun:
    def test_prints_the_matrix_and_last_the_folder(self, done: Any, outputs: Path) -> None:
        folder, result = folder_of(done), result_of(folder_of(done))
        assert folder == outputs / "toy-cl1-hnet" / result["config_id"] / "seed=1"
        rows = [line.split() for line in done.stdout.splitlines() if re.match(r" +\d+ +[\d.]+( |$)", line)]
        printed = [[f"{100 * value:.1f}" for value in row if value is not None] for row in result["accuracy_matrix"]]
        assert rows == [[str(number), *row] for number, row in enumerate(printed, 1)]
        assert f"{100 * result['metrics']['acc']:.2f} %" in done.stdout
        assert "Memory in bytes: hypernetwork 4,648, task_embeddings 96" in done.stdout
        assert done.stderr == ""

    def test_writes_a_result_with_every_key(self, done: Any, outputs: Path) -> None:
        result = result_of(folder_of(done))
        assert result.keys() == KEYS
        assert (result["status"], result["error"]) == ("finished", None)
        names = [result[key] for key in ("benchmark", "dataset", "scenario", "method", "seed")]
        assert names == ["toy", "toy", "cl1", "hnet", 1]
        assert result["overrides"] == [*SMALL, f"output_dir={outputs}"]
        assert (result["num_tasks"], result["tasks_done"], result["iterations"]) == (3, 3, 3 * 40)
        assert 0 < result["train_time_s"] < result["wall_time_s"]
        assert result["peak_memory_mb"] > 50
        hypernetwork = 5 * 8 + (16 + 1) * 16 + (16 + 1) * 50  # five chunks of 50 weights: codes, hidden units, head
        kept = {"hypernetwork": 4 * hypernetwork, "task_embeddings": 4 * 3 * 8}
        assert result["memory_bytes"] == {"total": sum(kept.values()), **kept}
        assert result["metrics"]["memory"] == sum(kept.values())
        parameters = result["parameters"]
        assert parameters["compression_ratio"] == parameters["trainable"] / parameters["target"]
        assert parameters["target"] == (2 * 10 + 10) + (10 * 10 + 10) + (10 * 6 + 6)
        assert result["in_shape"] == [2]
        assert result["tasks"] == [{"name": f"blobs {task}", "classes": ["0", "1"]} for task in range(3)]
        assert result["data"].keys() == {"name", "source", "checksum", "fixed", "stand_in"}
        assert result["versions"]["torch"] == version("torch")
        assert result["command"].startswith("python -m hnet_cl benchmark=toy ")

    def test_matrix_and_metrics_agree(self, done: Any) -> None:
        folder = folder_of(done)
        result = result_of(folder)
        matrix = result["accuracy_matrix"]
        for i, row in enumerate(matrix):
            assert row[i + 1 :] == [None] * (2 - i)
            assert all(0 <= value <= 1 for value in row[: i + 1])
        metrics = result["metrics"]
        assert metrics["acc"] == pytest.approx(sum(matrix[2]) / 3)
        assert metrics["during"] == pytest.approx(sum(matrix[i][i] for i in range(3)) / 3)
        assert metrics["bwt"] == pytest.approx(sum(matrix[2][j] - matrix[j][j] for j in range(2)) / 2)
        best = [max(matrix[0][0], matrix[1][0]), matrix[1][1]]
        assert metrics["forgetting"] == pytest.approx(sum(best[j] - matrix[2][j] for j in range(2)) / 2)
        assert metrics["majority"] == 0.5
        table = list(csv.reader((folder / "accuracy_matrix.csv").read_text().splitlines()))
        assert [[float(cell) if cell else None for cell in row] for row in table[1:]] == matrix

    def test_writes_losses_plots_events_configuration_and_checkpoint(self, done: Any) -> None:
        folder = folder_of(done)
        rows = list(csv.DictReader(losses_of(folder).splitlines()))
        steps = [(row["task"], row["iteration"]) for row in rows if row["name"] == "loss"]
        assert steps == [(str(task), str(step)) for task in range(3) for step in (10, 20, 30, 40)]
        assert (folder / "accuracy_matrix.png").read_bytes().startswith(b"\x89PNG")
        assert list(folder.glob("events.out.tfevents.*"))
        assert (folder / ".hydra" / "overrides.yaml").read_text().splitlines()[0] == "- benchmark=toy"
        config = yaml.safe_load((folder / ".hydra" / "config.yaml").read_text())
        assert config["training"]["iterations"] == 40 and "${" not in str(config)
        (checkpoint,) = (folder / "checkpoint").iterdir()
        owner = torch.load(checkpoint, weights_only=True)["owner"]
        assert owner.startswith(f"{result_of(folder)['config_id']} on toy ")

    @pytest.mark.slow
    def test_a_second_time_shows_the_results_and_trains_nothing(self, done: Any, outputs: Path) -> None:
        folder = folder_of(done)
        kept = ["result.json", "metrics.csv", *(str(path) for path in (folder / "checkpoint").iterdir())]
        before = {name: (folder / name).read_bytes() for name in kept}
        again = hnet_cl(*SMALL, f"output_dir={outputs}")
        assert folder_of(again) == folder
        assert "fresh=true runs it again" in again.stdout
        assert "${" not in (folder / ".hydra" / "config.yaml").read_text()
        assert {name: (folder / name).read_bytes() for name in before} == before

    @pytest.mark.slow
    def test_fresh_trains_again_to_the_same_numbers(self, done: Any, outputs: Path) -> None:
        folder = folder_of(done)
        before, losses, written = result_of(folder), losses_of(folder), (folder / "result.json").stat().st_mtime_ns
        again = hnet_cl(*SMALL, f"output_dir={outputs}", "fresh=true")
        assert folder_of(again) == folder
        assert (folder / "result.json").stat().st_mtime_ns > written
        after = result_of(folder)
        assert (after["status"], after["iterations"]) == ("finished", before["iterations"])
        assert (after["accuracy_matrix"], losses_of(folder)) == (before["accuracy_matrix"], losses)


NOTHING_HELD_OUT = "training.validation=1e-09"  # only the data say that this is impossible


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Two methods with two seeds each, and each of that once more with data that are impossible."""
    folder = tmp_path_factory.mktemp("sweep")
    return folder, hnet_cl(*sweeping(folder))


def sweeping(folder: Path) -> list[str]:
    jobs = ["method=hnet,finetune", "seed=1,2", "training.validation=1e-9,0.0"]
    return ["-m", *SMALL, f"output_dir={folder}", *jobs]


@pytest.mark.slow
class TestSweep:
    REASON = "training.validation=1e-09: holds out 0 of "

    def test_failing_jobs_stop_no_others(self, sweep: Any) -> None:
        folder, process = sweep
        results = [result_of(path.parent) for path in folder.rglob("result.json")]
        ended = {(result["method"], result["seed"], result["status"]) for result in results}
        assert ended == {
            (method, seed, status)
            for method in ("hnet", "finetune")
            for seed in (1, 2)
            for status in ("failed", "finished")
        }
        assert len(results) == 8
        for result in results:
            assert (result["error"] or self.REASON).startswith(self.REASON)
            assert (result["status"] == "failed") == (result["error"] is not None)
        failed = next(path for path in folder.rglob("result.json") if result_of(path.parent)["error"])
        log = (failed.parent / "hnet_cl.log").read_text()
        assert f"failed: {self.REASON}" in log
        assert "Traceback" not in process.stderr + log

    def test_it_ends_with_the_table_of_what_is_finished(self, sweep: Any) -> None:
        _, process = sweep
        _, table = process.stdout.split("\ntoy, toy, 3 tasks: ACC (mean accuracy after the last task) in %\n")
        rows = [line.split() for line in table.splitlines() if line.endswith("(2)")]
        assert [(method, seeds) for method, *_, seeds in rows] == [("hnet", "(2)"), ("finetune", "(2)")]

    def test_the_end_says_what_failed(self, sweep: Any) -> None:
        folder, process = sweep
        assert process.returncode == 1
        lines = process.stderr.strip().splitlines()
        assert lines[0] == "8 jobs: 4 finished, 4 failed"
        assert lines[1].startswith("Time: ")
        typed = "method=hnet seed=1 training.validation=1e-09"
        assert lines[2] == f"failed: {' '.join(SMALL)} output_dir={folder} {typed} and 3 more"
        assert lines[3].startswith(f"  {self.REASON}")
        assert Path(lines[4].strip().removesuffix(" and 3 more")) in folder.glob("toy-cl1-hnet/*/seed=1")
        assert lines[5:] == ["The same command again runs only what is missing or failed."]

    @pytest.mark.slow
    def test_debug_shows_where_each_failed(self, tmp_path: Path) -> None:
        done = hnet_cl("-m", *SMALL, f"output_dir={tmp_path}", NOTHING_HELD_OUT, "debug=true")
        assert "Traceback" in next(tmp_path.rglob("hnet_cl.log")).read_text()
        assert done.returncode == 1 and "1 jobs: 1 failed" in done.stderr

    def test_the_same_command_runs_only_what_failed(self, sweep: Any) -> None:
        folder, _ = sweep
        again = hnet_cl(*sweeping(folder))
        assert again.returncode == 1
        assert "8 jobs: 4 finished earlier, 4 failed" in again.stderr
        launched = re.findall(r"#\d : .*(method=\w+ seed=\S+ training.validation=\S+)", again.stdout)
        assert launched == [
            f"method={method} seed={seed} training.validation=1e-09"
            for method in ("hnet", "finetune")
            for seed in (1, 2)
        ]

    def test_the_seed_alone_decides_the_numbers(self, sweep: Any, done: Any) -> None:
        folder, _ = sweep
        one = folder_of(done)
        same, other = (folder / "toy-cl1-hnet" / one.parent.name / f"seed={seed}" for seed in (1, 2))
        assert result_of(same)["accuracy_matrix"] == result_of(one)["accuracy_matrix"]
        assert losses_of(same) == losses_of(one)
        assert losses_of(other) != losses_of(one)
        assert result_of(other)["data"] == result_of(one)["data"]


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "lines"),
        [
            (["sed=3"], ["sed: no such key; did you mean seed?"]),
            (["training.iteration=3"], ["training.iteration: no such key; did you mean training.iterations?"]),
            (["+method.strenght=1"], ["method.strenght: no such key; did you mean method.strength?"]),
            (["metod=hnet"], ["metod: no such key; did you mean method?"]),
            (["method=hnett"], ["method=hnett: no such choice; did you mean hnet?"]),
            (["seed=abc"], ["seed=abc: input should be a valid integer"]),
            (
                ["training.lr=-1", "benchmark.num_tasks=0", "+x=1"],
                [
                    "benchmark.num_tasks=0: input should be greater than 0",
                    "training.lr=-1: input should be greater than 0",
                    "x: no such key; there are ",
                ],
            ),
            (["scenario=cl2"], ["method=hnet with scenario=cl2: the task is not given at test time"]),
            (["method._target_=os.system"], ["method._target_=os.system: is no subclass of hnet_cl.methods."]),
            (["target._target_=hnet_cl.methods.base.Learner"], ["target._target_=hnet_cl.methods.base.Learner: "]),
            (["seed"], ["seed: cannot be read as KEY=VALUE"]),
            (["seed=1,2"], ["seed=1,2: is several values; add -m to run one after another, or give a list"]),
            (["-m", "seed=1,2", "metod=si"], ["metod: no such key; did you mean method?"]),
            (
                ["-m", "seed=1,x,-1", "method=si,ewc"],
                [
                    "seed=x: input should be a valid integer (jobs seed=x method=si; seed=x method=ewc)",
                    "seed=-1: input should be greater than or equal to 0 (jobs ",
                ],
            ),
            (["-m", "seed=interval(1,2)"], ["seed=interval(1,2): a grid has no intervals; give values, as seed=1,2, "]),
            (
                ["-m", "hydra.sweeper.max_batch=1"],
                ["hydra.sweeper.max_batch: no such key; did you mean hydra.sweeper."],
            ),
            (["-m", "hydra.sweeper.max_batch_size=0"], ["hydra.sweeper.max_batch_size=0: give a number of jobs, or "]),
            (["-m", "hydra.sweeper.params=x"], ["hydra.sweeper.params=x: give values by key, as "]),
            (
                ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=0", "hydra.sweeper.pruning.warmup_tasks=x"],
                [
                    "hydra.sweeper.n_trials=0: input should be greater than 0",
                    "hydra.sweeper.pruning.warmup_tasks=x: input should be a valid integer",
                ],
            ),
            (
                ["-m", "hydra/sweeper=optuna", "hydra.sweeper.metric=ac"],
                ["hydra.sweeper.metric=ac: no such metric; did you"],
            ),
        ],
        ids=lambda value: value[0] if isinstance(value[0], str) else None,
    )
    @pytest.mark.slow
    def test_in_the_configuration_is_a_line_each_and_leaves_nothing(
        self, arguments: Sequence[str], lines: Sequence[str], tmp_path: Path
    ) -> None:
        found = mistake("benchmark=toy", f"output_dir={tmp_path / 'runs'}", *arguments).splitlines()
        assert len(found) == len(lines)
        assert [line for line, expected in zip(found, lines, strict=True) if not line.startswith(expected)] == []
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    @pytest.mark.slow
    def test_no_gpu(self, tmp_path: Path) -> None:
        line = mistake("benchmark=toy", f"output_dir={tmp_path}", "device=cuda")
        assert line.startswith("device=cuda: torch finds no GPU here; use device=cpu")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.slow
    def test_missing_data(self, tmp_path: Path) -> None:
        nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        arguments = ["benchmark=smnist", "benchmark.source=full", f"data_dir={tmp_path / 'data'}"]
        line = mistake(*arguments, f"output_dir={tmp_path}", PATH="", **nowhere)
        assert line.startswith("dataset.source=full, but train-images-idx3-ubyte, ")
        assert "set data_dir (or HNET_CL_DATA)" in line and "\n" not in line
        assert list((tmp_path / "data").iterdir()) == []

    @pytest.mark.slow
    def test_corrupt_data(self, tmp_path: Path) -> None:
        raw = tmp_path / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for name in CHECKSUMS:
            (raw / name).write_bytes(b"not what it should be")
        line = mistake("benchmark=smnist", f"data_dir={tmp_path}", f"output_dir={tmp_path / 'runs'}")
        assert line.startswith(f"{raw / 'train-images-idx3-ubyte'} is damaged: its MD5 is ")
        assert line.endswith("delete it to have it fetched again")

    @pytest.mark.slow
    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        line = mistake(*SMALL, f"output_dir={tmp_path / 'file' / 'runs'}")
        assert str(tmp_path / "file" / "runs") in line and "\n" not in line

    @pytest.mark.parametrize(
        "argument",
        ["sed=3", "seed=-1"],
    )
    @pytest.mark.slow
    def test_debug_shows_where_it_happened(self, argument: str, tmp_path: Path) -> None:
        process = hnet_cl("benchmark=toy", f"output_dir={tmp_path}", "debug=true", argument)
        assert process.returncode != 0
        assert process.stderr.startswith("Traceback") and argument.partition("=")[0] in process.stderr


class TestSurroundings:
    """What stands around the words: the environment, flags anywhere, homes."""

    def test_hydras_own_switch_does_not_turn_off_the_lines(self) -> None:
        assert mistake("sed=3", HYDRA_FULL_ERROR="0") == "sed: no such key; did you mean seed?"

    @pytest.mark.slow
    def test_a_tilde_is_the_home(self, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        command = [sys.executable, "-m", "hnet_cl", "benchmark=smnist", "benchmark.source=embedded"]
        small = ["training.iterations=1", "benchmark.num_tasks=1", "method=finetune", "device.threads=1"]
        paths = {"HOME": str(tmp_path / "home"), "HNET_CL_DATA": "~/data"}
        done = subprocess.run(
            [*command, *small, "output_dir=~/runs"],
            cwd=tmp_path,
            env={**os.environ, **paths},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        config = yaml.safe_load(next((tmp_path / "home" / "runs").rglob(".hydra/config.yaml")).read_text())
        assert config["data_dir"] == str(tmp_path / "home" / "data")
        assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_cfg_prints_what_was_typed() -> None:
    usual, typed = (hnet_cl(*more, "--cfg", "job", "--resolve").stdout for more in ([], ["benchmark.num_tasks=20"]))
    changed = set(typed.splitlines()) - set(usual.splitlines())
    assert changed == {"  num_tasks: 20"} and len(usual.splitlines()) == len(typed.splitlines())


def test_help_lists_every_choice_and_three_examples_and_is_quick() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "hnet_cl", "--help"]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert max(map(len, process.stdout.splitlines())) <= 80
    shown = " ".join(process.stdout.split())
    for group in GROUPS:
        for name, line in choices(conf_dir(), group).items():
            assert f" {group}={name} {' '.join(line.split())} " in shown
    assert re.search(r"^  hydra/launcher=basic +One job after another", process.stdout, re.MULTILINE)
    examples = process.stdout.partition("Examples\n")[2]
    assert len(re.findall(r"^  python -m hnet_cl", examples, re.MULTILINE)) == 3
    imported = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert imported & {"torch", "numpy", "matplotlib", "rich", "pydantic"} == set()


OWN_METHOD = """
import torch
from hnet_cl.methods.finetune import Finetune

class Frozen(Finetune):
    class Settings(Finetune.Settings):
        tasks_to_learn: int

    def step(self, inputs, labels):
        if self.latest < self.settings.tasks_to_learn:
            return super().step(inputs, labels)
        return {"loss": torch.zeros(())}
"""
OWN_BENCHMARK = """
import torch
from hnet_cl.core import settings
from hnet_cl.benchmarks.base import Benchmark, DataIdentity, Split, Task

class Signs(Benchmark):
    class Settings(settings.Settings):
        name: str

    def __init__(self, settings, data_dir, device):
        self.in_shape = (2,)
        self.data = DataIdentity("signs", "synthetic", "none")
        points = torch.randn(400, 2, generator=torch.Generator().manual_seed(0), device=device)
        self.tasks = []
        for task in range(2):
            split = Split(points, (points[:, task] > 0).long(), torch.clone)
            self.tasks.append(Task(task, f"sign {task}", split, split, 2))
"""
OWN_YAML = {
    "method/frozen.yaml": """\
# Learns some tasks and stops
defaults:
  - finetune
  - _self_
_target_: own_method.Frozen
name: frozen
tasks_to_learn: 1
""",
    "benchmark/signs.yaml": """\
# @package _global_
# Signs of coordinates
benchmark:
  _target_: own_benchmark.Signs
  name: signs
training:
  iterations: 150
  batch_size: 32
  lr: 1.0e-2
""",
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one Python file and one yaml for each of a method and a benchmark."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_method.py").write_text(OWN_METHOD)
    (folder / "own_benchmark.py").write_text(OWN_BENCHMARK)
    for name, text in OWN_YAML.items():
        (folder / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "conf" / name).write_text(text)
    return folder


class TestOwnParts:
    @pytest.mark.parametrize("how", ["--config-dir={}", "hydra.searchpath=[file://{}]"])
    @pytest.mark.slow
    def test_are_one_file_and_one_yaml_each(self, own: Path, how: str, tmp_path: Path) -> None:
        arguments = ["method=frozen", "benchmark=signs", "device.threads=1", f"output_dir={tmp_path}"]
        result = result_of(folder_of(hnet_cl(how.format(own / "conf"), *arguments, PYTHONPATH=str(own))))
        assert (result["benchmark"], result["method"], result["data"]["name"]) == ("signs", "frozen", "signs")
        first, second = result["accuracy_matrix"]
        assert first[0] > 0.9 and second[0] == first[0]
        assert second[1] < 0.8

    def test_are_in_the_help(self, own: Path) -> None:
        shown = hnet_cl(f"--config-dir={own / 'conf'}", "--help").stdout
        assert re.search(r"^  method=frozen +Learns some tasks and stops$", shown, re.MULTILINE)

    def test_have_keys_that_are_suggested(self, own: Path) -> None:
        own_conf = f"--config-dir={own / 'conf'}"
        line = mistake(own_conf, "method=frozen", "method.tasks_to_lern=2", PYTHONPATH=str(own))
        assert line == "method.tasks_to_lern: method=frozen has no such key; did you mean method.tasks_to_learn?"
