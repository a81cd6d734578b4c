"""Jobs that take turns in one process: each is what it would be alone."""

import re
import signal
import time
from pathlib import Path

import pytest
from processes import hnet_cl, losses_of, mistake, result_of, start

pytestmark = pytest.mark.slow

TOY = ("benchmark=toy", "benchmark.spread=0.6", "benchmark.num_tasks=2", "device.threads=1", "training.log_every=1")


def runs_of(outputs: Path) -> dict[int, Path]:
    """Run folders by seed."""
    return {result_of(path.parent)["seed"]: path.parent for path in outputs.rglob("result.json")}


def test_seeds_side_by_side_are_the_runs_themselves(tmp_path: Path) -> None:
    """Two at a time, so that the third begins in the middle of another; dgr draws at every step."""
    arguments = (*TOY, "training.iterations=60", "method=dgr", "scenario=cl3")
    together = hnet_cl(*arguments, "seeds=3", "hydra.launcher.n_jobs=2", f"output_dir={tmp_path / 'together'}")
    assert together.returncode == 0 and "\n3 jobs: 3 finished\n" in together.stdout
    assert re.findall(r"^(seed=\d): ACC \d+\.\d\d %, forgetting", together.stdout, re.MULTILINE).count("seed=2") == 1
    alone = hnet_cl(*arguments, "seed=1,2,3", "-m", f"output_dir={tmp_path / 'alone'}")
    assert alone.returncode == 0
    first, second = runs_of(tmp_path / "together"), runs_of(tmp_path / "alone")
    assert sorted(first) == sorted(second) == [1, 2, 3]
    for seed, folder in first.items():
        assert losses_of(folder) == losses_of(second[seed])
        assert result_of(folder)["accuracy_matrix"] == result_of(second[seed])["accuracy_matrix"]
        assert folder.relative_to(tmp_path / "together") == second[seed].relative_to(tmp_path / "alone")
        assert (folder / ".hydra" / "config.yaml").exists()
    again = hnet_cl(*arguments, "seeds=3", f"output_dir={tmp_path / 'together'}")
    assert "\n3 jobs: 3 finished earlier\n" in again.stdout


def test_a_signal_saves_all_of_them(tmp_path: Path) -> None:
    arguments = (*TOY, "training.iterations=600", "method=hnet", "seeds=3")
    process = start(*arguments, f"output_dir={tmp_path / 'cut'}")
    while len(list((tmp_path / "cut").rglob("result.json"))) < 3:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143 and "interrupted by SIGTERM; the same command continues this run" in err
    folders = runs_of(tmp_path / "cut")
    for folder in folders.values():
        result = result_of(folder)
        assert (result["status"], result["error"]) == ("interrupted", "interrupted by SIGTERM")
        assert list((folder / "checkpoint").glob("in-task-*"))
    for outputs in ("cut", "whole"):
        assert hnet_cl(*arguments, f"output_dir={tmp_path / outputs}").returncode == 0
    for seed, folder in runs_of(tmp_path / "whole").items():
        assert losses_of(folder) == losses_of(folders[seed])


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        (("method=finetune", "training.lr=0.01,1e38", "training.iterations=40", "training.log_every=20"), "diverged"),
        (("training.validation=0,1e-9", "training.iterations=20"), "training.validation=1e-09: holds out 0"),
    ],
    ids=["in a later turn", "by its data"],
)
def test_a_failing_job_ends_no_other(choices: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    done = hnet_cl(*TOY, *choices, "seeds=1", "-m", f"output_dir={tmp_path}")
    assert done.returncode == 1 and "2 jobs: 1 finished, 1 failed" in done.stderr
    assert reason in done.stderr
    results = [result_of(path.parent) for path in tmp_path.rglob("result.json")]
    assert sorted(result["status"] for result in results) == ["failed", "finished"]


@pytest.mark.parametrize("number", ["0", "-1", "null"])
def test_n_jobs_is_a_number_of_jobs(number: str, tmp_path: Path) -> None:
    line = mistake("benchmark=toy", "seeds=2", f"hydra.launcher.n_jobs={number}", f"output_dir={tmp_path}")
    shown = "None" if number == "null" else number
    assert line == f"hydra.launcher.n_jobs={shown}: give how many jobs run at a time, as 10"


def test_a_wrong_number_of_seeds_is_one_line(tmp_path: Path) -> None:
    line = mistake("benchmark=toy", "seeds=many", f"output_dir={tmp_path}")
    assert line == "seeds=many: give the number of seeds to run, as seeds=10"
