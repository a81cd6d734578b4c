"""Finished runs that are extended by tasks: rows are kept, the finished run stays as it is, the rest is a line."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import (
    CLASSIFIER,
    GENERATED,
    METHODS,
    NEED_THE_TASK,
    NEEDS_SEPARATE_CLASSES,
    REPLAY,
    SETTINGS,
    blobs,
    head_map,
    rows_of,
    same_state,
    setup,
    training,
)
from in_process import command
from marks import few
from rich.console import Console
from torch import Tensor, nn

from hnet_cl import load, results
from hnet_cl.config.composing import compose_job
from hnet_cl.core.errors import UserError
from hnet_cl.core.signals import Interruption
from hnet_cl.extending import go_on_learning
from hnet_cl.methods.base import Learner
from hnet_cl.methods.parts.extension import optimizer_state_for, with_more
from hnet_cl.recording import Request, RunContext
from hnet_cl.scenario import HeadMap, ScenarioSettings
from hnet_cl.single_run import exhaust, run_cooperatively
from hnet_cl.training.trainer import Start

SMALL, LARGE = blobs(), blobs(num_tasks=5)
SHORT = training(iterations=2)
MORE_TASKS = {"generator": GENERATED | {"condition": 5}}
OWN: dict[str, Any] = {
    "hnet_r": MORE_TASKS,
    "hnet_tir": {"task_inference": REPLAY | CLASSIFIER | {"targets": "hard"} | MORE_TASKS},
    "hnet_ent": {"mask_heads": True},
}
HEADS = ("cl1", "cl2", "cl3")
REFUSED = {
    "packnet": "its last task takes all weights that are left",
    "supsup cl1": r"masks\.bits has the shape \(3, 5\), and among more tasks \(5, 8\)",
    "supsup cl3": r"masks\.bits has the shape",
    "hnet_posterior cl1": "with more outputs its answers for blobs 0 would be others",
    "h_embedding cl1": r"decoder\.0\.weight has the shape \(7, 18\), and among more tasks \(7, 24\)",
    "hypermask cl1": "with more outputs its answers for blobs 0 would be others",
}
# What these start with is drawn at once for all tasks, and so it depends on their number.
DRAWN_AT_ONCE = {"hnet", "hnet_ent", "hnet_tir", "hnet_r", "hint", "hypermask", "hat"}
ONLY = {
    "icarl": ("cl3",),
    **dict.fromkeys(NEED_THE_TASK, ("cl1",)),
    **dict.fromkeys(NEEDS_SEPARATE_CLASSES, ("cl1", "cl3")),
}
CASES = [(method, scenario) for method in METHODS for scenario in ONLY.get(method, HEADS)]
QUICK = [("hnet", "cl1"), ("ewc", "cl3"), ("scratch", "cl1"), ("packnet", "cl1")]


def by_rows(num_outputs: int) -> nn.Module:
    """A target whose outputs start alike however many there are."""
    network = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, num_outputs))
    with torch.no_grad():
        for row in range(num_outputs):
            draws = torch.Generator().manual_seed(row)
            for parameter in network[2].parameters():
                parameter[row] = 0.3 * torch.randn(parameter[row].shape, generator=draws)
    return network


def make(method: str, scenario: str, tasks: int, extends: Sequence[int] = ()) -> Learner:
    kind = METHODS[method]
    settings = kind.Settings(**({"name": method} | SETTINGS[method] | OWN.get(method, {})))
    heads = head_map(scenario, [2] * tasks)
    heads.stages = (*extends, tasks)
    made: Learner = kind(settings, setup(heads, target=by_rows))
    return made


def trained(made: Learner, tasks: int, done: int = 0) -> list[list[float | None]]:
    return [row.scores for row in rows_of(made, LARGE.tasks[:tasks], SHORT, [], Start(done))]


@pytest.mark.parametrize(("method", "scenario"), few(CASES, QUICK))
def test_every_method_goes_on_or_is_one_line(method: str, scenario: str) -> None:
    """Where nothing is drawn for all tasks at once, three tasks and then two are as five."""
    refused = REFUSED.get(method) or REFUSED.get(f"{method} {scenario}")
    former, learner = make(method, scenario, 3), make(method, scenario, 5, (3,))
    if learner.unextendable:
        assert learner.unextendable == refused
        return
    trained(former, 3)
    if refused:
        with pytest.raises(UserError, match=f"at: it cannot be extended, as {refused}"):
            go_on_learning(former, learner, LARGE.tasks[:3], "at")
        return
    go_on_learning(former, learner, LARGE.tasks[:3], "at")
    rows = trained(learner, 5, 3)
    assert [[score is None for score in row] for row in rows] == [[False] * 4 + [True], [False] * 5]
    if method in DRAWN_AT_ONCE:
        return
    whole = make(method, scenario, 5)
    assert trained(whole, 5)[3:] == rows
    if scenario == "cl2":
        assert same_state(whole.state_dict(), learner.state_dict())
    for name, value in whole.state_dict().items():
        if isinstance(value, Tensor):
            torch.testing.assert_close(learner.state_dict()[name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_the_optimiser_goes_on_with_what_it_has() -> None:
    kept = {"state": {0: {"step": torch.tensor(3.0), "mean": torch.ones(2, 3)}}, "param_groups": [{"lr": 0.1}]}
    found = optimizer_state_for(kept, [torch.zeros(2, 3)], [torch.zeros(4, 3)])
    expected = torch.tensor([[1.0] * 3] * 2 + [[0.0] * 3] * 2)
    assert torch.equal(found["state"][0]["mean"], expected) and found["state"][0]["step"] == 3
    assert found["param_groups"] is kept["param_groups"]


def test_more_entries_keep_their_initial_values() -> None:
    value, initial = torch.ones(2, 3), torch.zeros(4, 3)
    assert with_more(value, initial, {(2, 4)}, "w").tolist() == [[1.0] * 3] * 2 + [[0.0] * 3] * 2
    assert with_more(value.T, initial.T, {(2, 4)}, "w").tolist() == [[1.0, 1.0, 0.0, 0.0]] * 3
    for sizes, wrong in (({(2, 5)}, initial), ({(2, 4), (3, 4)}, torch.zeros(4, 4)), ({(2, 4)}, torch.zeros(4))):
        with pytest.raises(UserError, match=r"^w has the shape \(2, 3\), and among more tasks"):
            with_more(value, wrong, sizes, "w")


def test_heads_of_a_run_that_was_extended_twice() -> None:
    heads = HeadMap(own_heads("separate"), [2, 3, 2, 4], (1, 3))
    assert (heads.stages, heads.outputs_in_stages) == ((1, 3, 4), [2, 7, 11])
    assert HeadMap(own_heads("separate"), [2, 3]).outputs_in_stages == [5]
    assert HeadMap(own_heads("shared"), [2, 2], (1,)).outputs_in_stages == [2, 2]


def own_heads(kind: Any) -> ScenarioSettings:
    return ScenarioSettings(name="own", task_known=True, heads=kind, classes=kind)


WORDS = (
    "benchmark=toy",
    "target=mlp_10",
    "training.iterations=15",
    "training.log_every=5",
    "device.threads=1",
    "logger=[]",
)


def turns(root: Path, *words: str) -> tuple[Iterator[None], Path]:
    job = compose_job([*WORDS, f"output_dir={root}", *words], None)
    context = RunContext(Console(quiet=True), Interruption())
    return run_cooperatively(job.settings, job.folder, Request(job.overrides, lambda: job.setup), context), job.folder


def run(root: Path, *words: str) -> dict[str, Any]:
    made, folder = turns(root, *words)
    exhaust(made)  # type: ignore[arg-type]
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found | {"folder": folder}


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("typed", ["method=hnet", "method=ewc scenario=cl3"])
def test_a_run_is_extended_twice_and_goes_on_after_an_interruption(typed: str, tmp_path: Path) -> None:
    words = typed.split()
    first = run(tmp_path, *words, "benchmark.num_tasks=1")
    before = content(first["folder"])
    more = (*words, "benchmark.num_tasks=3", "extends=1")
    made, folder = turns(tmp_path, *more, "checkpoint_every=0")
    for _ in range(5):  # two tasks of 15 iterations, which are two turns and a row each
        next(made)
    made.close()  # type: ignore[attr-defined]
    assert any((folder / "checkpoint").glob("in-task-3-iteration-*"))
    shutil.copytree(first["folder"], aside := tmp_path / "aside")
    shutil.rmtree(first["folder"])  # the extension stands on its own
    resumed = run(tmp_path, *more)
    first["folder"].parent.mkdir(exist_ok=True)
    aside.rename(first["folder"])
    elsewhere = tmp_path / "elsewhere"
    run(elsewhere, *words, "benchmark.num_tasks=1")
    straight = run(elsewhere, *more)
    assert content(first["folder"]) == before
    for key in ("accuracy_matrix", "inferred_tasks", "iterations", "config_id", "num_tasks", "status"):
        assert resumed[key] == straight[key], key
    states = [load(one["folder"]).trained.learner.state_dict() for one in (resumed, straight)]
    assert same_state(*states)
    losses = [(one["folder"] / "metrics.csv").read_text() for one in (first, resumed, straight)]
    assert losses[1] == losses[2] and losses[1].startswith(losses[0])
    assert resumed["accuracy_matrix"][0] == [*first["accuracy_matrix"][0], None, None]
    again = run(tmp_path, *words, "benchmark.num_tasks=4", "extends=[1,3]")
    assert [row[:3] for row in again["accuracy_matrix"][:3]] == resumed["accuracy_matrix"]
    assert again["iterations"] == 60 and results(tmp_path).query("status == 'finished'").shape[0] >= 3
    assert load(again["folder"]).num_tasks == 4


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["extends=2"], "extends=2: there is no run of 2 tasks with the same other settings, which would be in"),
        (["extends=3"], "extends=3: benchmark.num_tasks=3 is no more than the 3 tasks that are learned already; give"),
        (["extends=0"], "extends=0: give the number of tasks of a finished run, as 3, or if that was extended itself,"),
        (["extends=[2,1]"], "extends=[2, 1]: give the number of tasks of a finished run"),
        (["extends=[2]"], "extends=[2]: give the number of tasks of a finished run"),
        (["extends=few"], "extends=few: give the number of tasks of a finished run"),
        (
            ["extends=2", "method=packnet"],
            "extends=2 with method=packnet: it cannot be extended, as its last task takes all weights that are left",
        ),
    ],
)
def test_what_cannot_be_extended_is_one_line(words: list[str], line: str, tmp_path: Path) -> None:
    ended = command(tmp_path, "benchmark=toy", "benchmark.num_tasks=3", *words)
    (found,) = ended.lines
    assert found.startswith(line) and not ended.jobs and not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["training.shuffle_tasks=true"],
            r"extends=2: of 4 tasks, task 1 \(blobs \d\) is another one than of 2 \(blobs \d\)",
        ),
        (["method=supsup"], r"it cannot be extended, as masks\.bits has the shape"),
        (["seed=2"], "extends=2: there is no run of 2 tasks with the same other settings"),
    ],
)
def test_runs_that_cannot_be_extended(words: list[str], line: str, tmp_path: Path) -> None:
    first = run(tmp_path, *(word for word in words if not word.startswith("seed")), "benchmark.num_tasks=2")
    before = content(first["folder"])
    with pytest.raises(UserError, match=line):
        run(tmp_path, *words, "benchmark.num_tasks=4", "extends=2")
    assert content(first["folder"]) == before


@pytest.mark.slow
def test_a_benchmark_without_a_number_of_tasks(tmp_path: Path) -> None:
    (line,) = command(tmp_path, "benchmark=toy_regression", "extends=1").lines
    assert line == "extends=1: benchmark=toy_regression has no key num_tasks, so it cannot be extended"


def test_an_unfinished_run_is_not_extended(tmp_path: Path) -> None:
    made, folder = turns(tmp_path, "method=finetune", "benchmark.num_tasks=2")
    for _ in range(4):
        next(made)
    made.close()  # type: ignore[attr-defined]
    made, _ = turns(tmp_path, "method=finetune", "benchmark.num_tasks=3", "extends=2")
    with pytest.raises(UserError, match=r"in .* is not finished \(status interrupted, 1 tasks learned\); finish it"):
        next(made)
    assert folder.exists()
