"""A sweep that ends in a table and a report."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from in_process import command
from processes import in_process

from hnet_cl.sweeps import compare_sweep
from hnet_cl.sweeps.compare_sweep import name_for, named

SMALL = (
    *("experiment=compare", "dataset=blobs", "target=mlp_10", "benchmark.num_tasks=2", "training.iterations=3"),
    *("device.threads=1", "hydra/sweeper=compare", "--multirun"),
)

METHODS = ("hnet", "finetune", "joint", "ewc", "er")


def test_the_name_of_a_report_is_that_of_its_runs() -> None:
    one, other = Path("outputs/a"), Path("outputs/b")
    names = {name_for(folders) for folders in ([one, other], [other, one])}
    assert len(names) == 1 and re.fullmatch(r"comparison-[0-9a-f]{8}", names.pop())
    assert name_for([one]) != name_for([other])


def test_runs_are_named_by_the_folder_above_if_that_holds_no_others(tmp_path: Path) -> None:
    runs = [tmp_path / config / f"seed={seed}" for config in ("a", "b") for seed in (1, 2)]
    for run in runs:
        run.mkdir(parents=True)
        (run / "result.json").write_text("{}")
    assert named(runs) == [tmp_path / "a", tmp_path / "b"]
    assert named(runs[:3]) == runs[:3]


@pytest.mark.parametrize(
    ("typed", "jobs"),
    [
        ([], [f"method={name} seed={seed}" for name in METHODS for seed in (1, 2, 3)]),
        (["method=si,ewc", "seed=7"], ["method=si seed=7", "method=ewc seed=7"]),
        (["seeds=2", "method=ewc"], ["method=ewc seed=1", "method=ewc seed=2"]),
    ],
)
@pytest.mark.slow
def test_what_is_typed_replaces_what_is_usual(
    typed: list[str], jobs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[tuple[Sequence[Path], Path]] = []
    monkeypatch.setattr(compare_sweep, "report", lambda *given: reports.append(given))
    ended = command(tmp_path, *SMALL, *typed)
    assert ended.code == 0, ended.err
    ((folders, output),) = reports
    assert len({*folders}) == len(jobs) and output == Path("outputs", name_for(folders))
    found = [sorted(word for word in job if word.startswith(("method=", "seed="))) for job in ended.jobs]
    assert found == [job.split() for job in jobs]


@pytest.mark.slow
def test_from_words_to_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = in_process(*SMALL, "method=finetune,ewc", "seed=1,2")
    assert done.returncode == 0, done.stderr
    results = [json.loads(path.read_text()) for path in Path("outputs").rglob("result.json")]
    assert sorted((one["method"], one["seed"]) for one in results) == [
        *(("ewc", 1), ("ewc", 2), ("finetune", 1), ("finetune", 2))
    ]
    (report,) = Path("outputs").glob("comparison-*")
    made = {path.name for path in report.iterdir()}
    assert made == {"index.html", "figure.pdf", "plots", *(f"table.{end}" for end in ("txt", "md", "tex", "csv"))}
    assert (report / "table.txt").read_text().count("finetune") > 0
    after = done.stdout.partition("4 jobs: 4 finished")[2]
    ids = [f"outputs/split_blobs-cl1-{name}/[0-9a-f]{{8}}" for name in ("finetune", "ewc")]
    assert re.search(rf"^python -m hnet_cl.report {' '.join(ids)} --output {report}$", after, re.MULTILINE)
    assert after.splitlines()[-1] == f"{report}/index.html"
    assert "4 jobs: 4 finished earlier" in in_process(*SMALL, "method=finetune,ewc", "seed=1,2").stdout
    assert re.search(r"^ewc +\d", after, re.MULTILINE) and re.search(r"^finetune +\d", after, re.MULTILINE)


def test_a_folder_of_somebody_elses_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    ended = command(tmp_path, *SMALL, f"hydra.sweeper.report={tmp_path}")
    assert (ended.code, ended.jobs) == (2, [])
    assert f"hydra.sweeper.report={tmp_path}: index.html there was not written by a report" in ended.err


@pytest.mark.slow
def test_what_failed_is_missing_in_the_table_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = in_process(*SMALL, "method=finetune", "seed=1", "training.lr=1e-3,1e30")
    assert done.returncode == 1 and "failed: " in done.stderr and "training.lr=1e+30" in done.stderr
    (report,) = Path("outputs").glob("comparison-*")
    assert "Fine-tuning" in (report / "table.md").read_text()
