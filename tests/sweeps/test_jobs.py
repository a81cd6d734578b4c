"""How jobs come to their end whatever their launcher does."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus

from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import UserError
from hnet_cl.records.run_folder import read_result
from hnet_cl.sweeps import jobs
from hnet_cl.sweeps.errors import BusyJobError, DeadError, JobError, PrunedError
from hnet_cl.sweeps.jobs import Job, Outcome, finish

CONFIG: dict[str, Any] = {"benchmark": {"name": "toy"}, "scenario": {"name": "cl1"}, "method": {"name": "si"}}


class Launcher:
    """Calls a function for each job; a BrokenProcessPool that it raises ends all jobs of the launch."""

    def __init__(self, work: Callable[[Path], Any]) -> None:
        self.work = work
        self.launches: list[list[str]] = []

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        parser = OverridesParser.create()
        folders = [Path(str(parser.parse_override(overrides[-1]).value())) for overrides in job_overrides]
        self.launches.append([folder.name for folder in folders])
        return [self.job(folder) for folder in folders]

    def job(self, folder: Path) -> JobReturn:
        done = JobReturn()
        done.status = JobStatus.COMPLETED
        try:
            done.return_value = self.work(folder)
        except (JobError, PrunedError) as error:
            done.status = JobStatus.FAILED
            done.return_value = error
        return done


def job(folder: Path, fresh: bool = False) -> Job:
    return Job([f"name={folder.name}"], [], folder, str(folder), CONFIG | {"seed": 1, "fresh": fresh})


def write(folder: Path, status: str, acc: float | None = None, **changes: Any) -> None:
    folder.mkdir(exist_ok=True)
    data = {"name": "toy", "checksum": "1234", "fixed": True, "stand_in": False}
    facts = {"config_id": config_id(CONFIG), "seed": 1, "accuracy_matrix": [], "data": data}
    facts |= {"benchmark": "toy", "scenario": "cl1", "method": "hnet", "num_tasks": 1}
    facts["accuracy_matrix"] = [[acc or 0.0]] if status == "finished" else []
    result = {"status": status, "error": None, "metrics": {"acc": acc}, **facts, **changes}
    (folder / "result.json").write_text(json.dumps(result))


def told(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    return [(outcome.status, outcome.error) for outcome in outcomes]


def test_every_job_has_its_outcome(tmp_path: Path) -> None:
    ends = {"a": None, "b": JobError("no data"), "c": PrunedError("hopeless"), "d": DeadError("out of memory")}

    def work(folder: Path) -> dict[str, float]:
        if error := ends[folder.name]:
            raise error
        return {"acc": 0.5}

    contradictory = Outcome(["x"], None, "failed", {}, "contradiction")
    outcomes = finish(
        [job(tmp_path / "a"), contradictory, *(job(tmp_path / name) for name in "bcd")], Launcher(work), 0
    )
    assert told(outcomes) == [
        ("finished", ""),
        ("failed", "contradiction"),
        ("failed", "no data"),
        ("pruned", "hopeless"),
        ("failed", "out of memory"),
    ]
    assert outcomes[0].metrics == {"acc": 0.5}
    died = read_result(tmp_path / "d")
    assert died and (died["status"], died["error"]) == ("failed", "out of memory")


def test_what_is_finished_or_given_twice_is_not_launched(tmp_path: Path) -> None:
    for name in ("done", "again"):
        write(tmp_path / name, "finished", 0.25)
    write(tmp_path / "failed", "failed")

    def work(folder: Path) -> dict[str, float]:
        write(folder, "finished", 0.5)
        return {"acc": 0.5}

    launcher = Launcher(work)
    names = ["done", "new", "failed", "new"]
    outcomes = finish([*(job(tmp_path / name) for name in names), job(tmp_path / "again", fresh=True)], launcher, 0)
    assert launcher.launches == [["new", "failed", "again"]]
    assert [(outcome.metrics["acc"], outcome.earlier) for outcome in outcomes] == [
        (0.25, True),
        (0.5, False),
        (0.5, False),
        (0.5, False),
        (0.5, False),
    ]


@pytest.mark.parametrize("changes", [{"seed": 2}, {"config_id": "12345678"}], ids=["seed", "configuration"])
def test_another_run_in_a_jobs_folder_is_not_the_job(changes: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path / "a", "finished", 0.25, **changes)
    launcher = Launcher(lambda folder: {"acc": 1.0})
    outcomes = finish([job(tmp_path / "a")], launcher, 0)
    assert [outcome.status for outcome in outcomes] == ["failed"] and launcher.launches == []
    assert "a: holds another run (" in outcomes[0].error


def test_different_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    launcher = Launcher(lambda folder: {"acc": 1.0})
    one = job(tmp_path / "a")
    other = replace(one, config={**one.config, "seed": 2}, overrides=["seed=2"])
    with pytest.raises(UserError, match="name=a and seed=2 are different runs and cannot share a folder"):
        finish([one, other], launcher, 0)
    assert launcher.launches == [] and list(tmp_path.iterdir()) == []


def test_results_on_stand_ins_are_asked_again_and_named(tmp_path: Path) -> None:
    """Whether the real data can be had by now is for the job to say."""
    data = {"name": "mnist-5k", "checksum": "1234", "fixed": False, "stand_in": True}
    for name in "ab":
        write(tmp_path / name, "finished", 0.25, data=data)

    def work(folder: Path) -> dict[str, float]:
        if folder.name == "a":
            return {"acc": 0.25}
        write(folder, "finished", 0.5)
        return {"acc": 0.5}

    launcher = Launcher(work)
    outcomes = finish([job(tmp_path / name) for name in "ab"], launcher, 0)
    assert launcher.launches == [["a", "b"]]
    assert [(outcome.metrics["acc"], outcome.stand_in, outcome.earlier) for outcome in outcomes] == [
        (0.25, "mnist-5k", True),
        (0.5, "", False),
    ]


def test_a_result_that_cannot_be_read_fails_its_own_job_alone(tmp_path: Path) -> None:
    (tmp_path / "a" / "result.json").mkdir(parents=True)
    launcher = Launcher(lambda folder: {"acc": 1.0})
    outcomes = finish([job(tmp_path / name) for name in "ab"], launcher, 0)
    assert [outcome.status for outcome in outcomes] == ["failed", "finished"]
    assert "Is a directory" in outcomes[0].error and launcher.launches == [["b"]]


def test_a_dead_pool_is_made_anew_until_only_the_deadly_job_has_failed(tmp_path: Path) -> None:
    """Jobs run in the order a, b, c, d, e; c ends the pool when b is in the middle, as if they ran side by side."""
    launcher: Launcher

    def work(folder: Path) -> dict[str, float]:
        side_by_side = len(launcher.launches[-1]) > 1
        if folder.name == "b" and side_by_side:
            write(folder, "running")
            return {}  # never seen: the pool ends
        if folder.name == "c":
            write(folder, "running")
            raise BrokenProcessPool(
                "A worker was terminated.\n\nThe exit codes of the workers are {SIGKILL(-9)}\nMore."
            )
        write(folder, "finished", 0.5)
        return {"acc": 0.5}

    launcher = Launcher(work)
    outcomes = finish([job(tmp_path / name) for name in "abcde"], launcher, 0)
    assert launcher.launches == [["a", "b", "c", "d", "e"], ["d", "e"], ["b"], ["c"]]
    assert [outcome.status for outcome in outcomes] == ["finished", "finished", "failed", "finished", "finished"]
    why = "its process died (The exit codes of the workers are {SIGKILL(-9)}); was there memory enough?"
    result = read_result(tmp_path / "c")
    assert result and (result["status"], result["error"], outcomes[2].error) == ("failed", why, why)


def test_what_another_process_works_on_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finishes a, gives up b, and is still at c when the patience ends."""
    monkeypatch.setattr(jobs, "sleep", lambda seconds: write(tmp_path / "a", "finished", 0.25))

    def work(folder: Path) -> dict[str, float]:
        if folder.name == "c" or (folder.name in "ab" and len(launcher.launches) == 1):
            raise BusyJobError("another process is working on this run")
        return {"acc": 0.5}

    launcher = Launcher(work)
    outcomes = finish([job(tmp_path / name) for name in "abcd"], launcher, 0, patience=0.2)
    assert launcher.launches[:2] == [["a", "b", "c", "d"], ["b", "c"]] and launcher.launches[-1] == ["c"]
    assert [(outcome.status, outcome.earlier) for outcome in outcomes] == [
        ("finished", True),
        ("finished", False),
        ("busy", False),
        ("finished", False),
    ]
    assert not list(tmp_path.rglob("result.json"))[1:], "nothing is recorded in a run that is not ours"


def test_a_launcher_that_fails_says_why_for_what_it_did_not_finish(tmp_path: Path) -> None:
    def work(folder: Path) -> Any:
        if folder.name == "b":
            raise RuntimeError("no sbatch\nhere")
        write(folder, "finished", 0.5)

    launcher = Launcher(work)
    outcomes = finish([job(tmp_path / name) for name in "ab"], launcher, 0)
    assert told(outcomes) == [("finished", ""), ("failed", "the launcher failed (RuntimeError: no sbatch here)")]
    assert len(launcher.launches) == 1


@pytest.mark.parametrize("name", ["seed=1", "it's", "a,b", "back\\slash", "${x}"])
def test_any_folder_can_be_said_in_an_override(name: str, tmp_path: Path) -> None:
    override = job(tmp_path / name).launched_as()[-1]
    parsed = OverridesParser.create().parse_override(override)
    assert (parsed.get_key_element(), parsed.value()) == ("hydra.sweep.subdir", str(tmp_path / name))
