"""Regression from the command line's words to a run folder, its report and its networks."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import run
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import hnet_cl.config.resolvers  # noqa: F401  (presets ask for its resolvers)
from hnet_cl import load
from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.benchmarks.toy_regression import Polynomials
from hnet_cl.config.check import check
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.core.errors import UserError
from hnet_cl.core.scores import NMSE
from hnet_cl.methods.parts.objective import GaussianRegression
from hnet_cl.report.comparison import Choice, compare_runs
from hnet_cl.report.output import write_report
from hnet_cl.testing import check_learner
from hnet_cl.training.inspection import inspect_tasks

CPU = torch.device("cpu")


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("config", ["benchmark=toy_regression", "logger=[]", *overrides])
        return OmegaConf.to_container(config, resolve=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run of hnet."""
    path = tmp_path_factory.mktemp("run")
    run(composed("training.iterations=40", "training.eval_batch_size=7"), path, ["benchmark=toy_regression"])
    return path


def test_the_result_says_mse_and_not_accuracy(folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text())
    assert result["score"] == "mse" and "accuracy_matrix" not in result
    rows = result["mse_matrix"]
    assert [sum(value is not None for value in row) for row in rows] == [1, 2, 3]
    final, during = sum(rows[2]) / 3, sum(rows[task][task] for task in range(3)) / 3
    growth = (rows[2][0] - rows[0][0] + rows[2][1] - rows[1][1]) / 2
    memory = result["memory_bytes"]["total"]
    expected = {"mse": final, "error_during": during, "error_growth": growth, "memory": memory}
    assert memory > 0 and result["metrics"] == pytest.approx(expected)
    assert {"mse_matrix.csv", "mse_matrix.png"} <= {path.name for path in folder.iterdir()}


def test_the_scores_are_those_of_the_tasks_networks(folder: Path) -> None:
    learner = load(folder)
    plan = learner.trained.plan
    tasks = Polynomials(plan.benchmark, None, CPU).tasks
    scores = json.loads((folder / "result.json").read_text())["mse_matrix"][2]
    for number, (task, score) in enumerate(zip(tasks, scores, strict=True)):
        inputs, labels = task.test.batch(slice(None))
        outputs = learner.network(number + 1)(inputs)[:, learner.outputs(number + 1)]
        assert score == pytest.approx((outputs - labels).square().mean().item(), rel=1e-4)
    with pytest.raises(UserError, match=r"^benchmark=toy_regression: is regression, so there are no classes"):
        learner.predict(torch.zeros(1, 1), 1)


def test_the_summary_says_mse(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(composed("training.iterations=40"), folder, [])  # finished: shown again
    shown = capsys.readouterr().out
    assert "MSE on each task (data: polynomials)" in shown and "error growth (at the end, minus" in shown
    assert "ccuracy" not in shown and "%" not in shown


@pytest.mark.slow
def test_the_report_says_mse(folder: Path, tmp_path: Path) -> None:
    comparison = compare_runs([folder], Choice())
    assert "MSE (mean squared error after the last task)" in str(comparison)
    page = write_report(tmp_path, compare_runs([folder], Choice(), every_metric=True), "")
    plots = {path.stem.split("-")[-1] for path in (tmp_path / "plots").iterdir()}
    assert plots == {"mse", "mse_during_final", "mse_error_growth", "mse_matrix", "mse_task_embeddings"}
    assert "Mean MSE over the tasks learned so far" in page.read_text()


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["method=hnet_r"], "method=hnet_r with benchmark=toy_regression: it is not defined for regression; use hnet"),
        (["method=dgr"], "method=dgr with benchmark=toy_regression: it is not defined for regression; use hnet"),
        (["method=hnet_tir"], "method=hnet_tir with benchmark=toy_regression: no rule that infers the task is defined"),
        (["method=hnet_ent"], "method=hnet_ent with benchmark=toy_regression: no rule that infers the task is defined"),
        (
            ["method=ewc", "method.fisher_labels=predicted"],
            "method=ewc with benchmark=toy_regression: in regression method.fisher_labels=predicted gives no Fisher",
        ),
        (
            ["training.likelihood=gaussian", "training.log_variance=[1,0]"],
            "training.log_variance=[1, 0]: give the lower bound first, as [-10,0.5]",
        ),
        (
            ["benchmark=toy", "training.likelihood=gaussian"],
            "training.likelihood=gaussian with benchmark=toy: is for regression; give null",
        ),
        (["training.likelihood=laplace"], "training.likelihood=laplace: input should be 'gaussian'"),
        (
            ["method=finetune", "scenario=cl3"],
            "scenario=cl3 with benchmark=toy_regression: in regression there are no classes by which a task could",
        ),
    ],
)
def test_what_is_not_defined_is_one_line(overrides: list[str], line: str) -> None:
    with pytest.raises(UserError) as error:
        check(composed(*overrides))
    assert str(error.value).startswith(line) and "\n" not in str(error.value)


SLOW = ("si", "finetune", "joint", "scratch")
METHODS = ("hnet", "ewc", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_and_goes_on(method: str) -> None:
    small = "benchmark.train_episodes=2", "benchmark.test_episodes=1"
    check_learner(f"method={method}", "benchmark=dynamics", *small, scenarios=["cl1", "cl2"])


@pytest.mark.parametrize("method", ["hnet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ewc", *SLOW))])
def test_every_method_learns_a_variance(method: str) -> None:
    small = "benchmark.train_episodes=2", "benchmark.test_episodes=1", "training.likelihood=gaussian"
    check_learner(f"method={method}", "benchmark=dynamics", *small, scenarios=["cl1", "cl2"])


@pytest.mark.slow
def test_a_run_that_learns_the_variance_of_the_noise(tmp_path: Path) -> None:
    """Its scores are those of the means, and its variances come from those of labels to that of their noise."""
    gaussian = ("training.likelihood=gaussian", "training.iterations=600", "benchmark.noise=0.2")
    run(composed("method=scratch", *gaussian), tmp_path, [])
    learner = load(tmp_path)
    objective = learner.trained.learner.objective
    assert isinstance(objective, GaussianRegression)
    scores = json.loads((tmp_path / "result.json").read_text())["mse_matrix"][2]
    for number, task in enumerate(Polynomials(learner.trained.plan.benchmark, None, CPU).tasks):
        inputs, labels = task.test.batch(slice(None))
        means, log_variances = objective.split(learner.network(number + 1)(inputs).detach())
        assert scores[number] == pytest.approx((means - labels).square().mean().item(), rel=1e-4)
        assert 0.1 < (log_variances / 2).exp().mean() < 0.4


def inspected(labels: torch.Tensor, **changes: Any) -> None:
    split = Split(torch.zeros(len(labels), 1), labels, torch.Tensor.float)
    benchmark = Polynomials.__new__(type("OneTask", (Polynomials,), changes))
    whole = Polynomials(Polynomials.Settings(name="x", train_per_task=3, test_per_task=3, noise=0.0, seed=1), None, CPU)
    benchmark.tasks = [Task(0, "task", split, split, 1, kind="regression")]
    benchmark.in_shape, benchmark.data = whole.in_shape, whole.data
    inspect_tasks(benchmark, "mine", CPU)


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        (torch.tensor([1, 2]), r"labels are int64 of shape \(2,\); expected float32 of shape \(2, 1\)"),
        (torch.tensor([1.0, 2.0]), r"labels are float32 of shape \(2,\); expected float32 of shape \(2, 1\)"),
        (torch.tensor([[1.0], [torch.nan]]), "1 labels of 2 hold NaN or infinity, the first is number 1"),
        (torch.tensor([[1.0], [1.0]]), "a number is the same in all labels, and NMSE divides by its variance"),
    ],
)
def test_labels_that_are_no_numbers_are_one_line(labels: torch.Tensor, line: str) -> None:
    with pytest.raises(UserError, match=rf"^benchmark=mine: task 1 \(task\), training data: {line}"):
        inspected(labels, score=NMSE)
