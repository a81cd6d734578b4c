"""What the screen says of the jobs of a sweep."""

from pathlib import Path

from hnet_cl.sweeps.jobs import Job, Outcome
from hnet_cl.sweeps.labels import announcement, labelled
from hnet_cl.sweeps.summary import summary


def job(method: str, seed: int, preset: str | None = None) -> Job:
    words = [f"method={method}", "benchmark=toy", f"seed={seed}"]
    return Job(words, [], Path("a"), "a", {"method": {"name": method}}, preset)


def test_a_job_is_labelled_by_what_distinguishes_it() -> None:
    found = labelled([job("si", 1), job("si", 2), job("ewc", 1)])
    assert [one.label for one in found] == ["method=si seed=1", "method=si seed=2", "method=ewc seed=1"]
    assert "hydra.sweeper.label='method=si seed=1'" in found[0].launched_as()
    (alone,) = labelled([job("si", 1)])
    assert alone.label == "" and not [word for word in alone.launched_as() if "label" in word]


def test_presets_are_said_once_for_all_jobs() -> None:
    jobs = [job("si", 1), job("si", 2), job("hnet", 1, "toy/hnet"), job("er", 1)]
    assert announcement(jobs).splitlines() == [
        "4 jobs: method=si,hnet,er seed=1,2",
        "Hyperparameters: preset toy/hnet for hnet; the method's own defaults for si, er.",
        "What is finished is not repeated. Each other job first loads PyTorch and its data.",
    ]
    assert announcement(jobs[:1]).splitlines()[0] == "1 job"


def test_the_end_of_a_sweep_says_how_long_it_took_and_warns_once() -> None:
    outcomes = [Outcome([], Path("a"), "finished", {}, data="mnist-5k")] * 2
    first, second, third = summary(outcomes, 3725).splitlines()
    assert (first, second) == ("2 jobs: 2 finished", "Time: 1 h 2 min.")
    assert third.startswith("Warning: the data are mnist-5k")
