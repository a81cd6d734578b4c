"""What a sweep says at its end, word for word."""

from pathlib import Path

import pytest

from hnet_cl.sweeps.errors import SweepError
from hnet_cl.sweeps.jobs import Outcome
from hnet_cl.sweeps.summary import conclude, summary

DONE = Outcome(["seed=1"], Path("runs/seed=1"), "finished", {"acc": 0.9})
EARLIER = Outcome(["seed=2"], Path("runs/seed=2"), "finished", {"acc": 0.8}, earlier=True)
PRUNED = Outcome(["seed=3"], Path("runs/seed=3"), "pruned", {}, "pruned by the search")
FAILED = Outcome(["seed=-1", "method=si"], Path("runs/seed=-1"), "failed", {}, "seed=-1: too small\nmethod=si: no")
BUSY = Outcome(["seed=4"], Path("runs/seed=4"), "busy", {}, "another process is working on this run")
NOWHERE = Outcome(["seed=x"], None, "failed", {}, "contradiction")


def test_counts_and_failures() -> None:
    assert summary([DONE, FAILED, EARLIER, PRUNED, DONE, NOWHERE], 7.25).splitlines() == [
        "6 jobs: 2 finished, 1 finished earlier, 1 pruned, 2 failed",
        "Time: 7.2 s.",
        "failed: seed=-1 method=si",
        "  seed=-1: too small",
        "  method=si: no",
        "  runs/seed=-1",
        "failed: seed=x",
        "  contradiction",
        "  no folder",
        "The same command again runs only what is missing or failed.",
    ]


def test_of_many_jobs_that_failed_alike_the_first_is_named() -> None:
    alike = [Outcome([f"seed={seed}"], Path(f"runs/seed={seed}"), "failed", {}, "no data") for seed in (1, 2, 3, 4)]
    assert summary([alike[0], FAILED, *alike[1:]], 1).splitlines()[2:8] == [
        "failed: seed=1 and 3 more",
        "  no data",
        "  runs/seed=1 and 3 more",
        "failed: seed=-1 method=si",
        "  seed=-1: too small",
        "  method=si: no",
    ]


def test_of_few_each_is_named() -> None:
    alike = [Outcome([f"seed={seed}"], Path(f"runs/seed={seed}"), "failed", {}, "no data") for seed in (1, 2, 3)]
    lines = summary(alike, 1).splitlines()
    assert lines[2::3] == [
        "failed: seed=1",
        "failed: seed=2",
        "failed: seed=3",
        "The same command again runs only what is missing or failed.",
    ]


def test_what_another_process_works_on_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    conclude([DONE, BUSY], 65)
    assert capsys.readouterr() == ("\n2 jobs: 1 finished, 1 being worked on by another process\nTime: 1 min 5 s.\n", "")


def test_what_was_to_start_anew_goes_on_without_that() -> None:
    again = Outcome(["seed=1", "fresh=true"], Path("runs/seed=1"), "failed", {}, "no")
    last = summary([again], 1).splitlines()[-1]
    assert last == "The same command again without fresh=true runs only what is missing or failed."


def test_failures_end_the_sweep_with_an_error_and_nothing_else_does(capsys: pytest.CaptureFixture[str]) -> None:
    conclude([], 0)
    assert capsys.readouterr() == ("", "")
    conclude([DONE, PRUNED, EARLIER], 3)
    assert capsys.readouterr() == ("\n3 jobs: 1 finished, 1 finished earlier, 1 pruned\nTime: 3.0 s.\n", "")
    with pytest.raises(SweepError):
        conclude([DONE, FAILED], 1)
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("\n2 jobs: 1 finished, 1 failed\nTime: 1.0 s.\nfailed: seed=-1 method=si\n")
