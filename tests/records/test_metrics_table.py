"""One table of metrics: an entry is seen wherever metrics are shown, compared or searched for."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from rich.console import Console
from states import state
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hnet_cl.config.conf_files import conf_dir
from hnet_cl.core.errors import UserError
from hnet_cl.core.scores import ACCURACY, MSE, NMSE
from hnet_cl.loggers.run_summary import print_summary
from hnet_cl.loggers.tensorboard import TensorBoardLogger
from hnet_cl.records.metrics_table import METRICS, Evidence, Metric, compared, of_a_run, summary
from hnet_cl.records.recorder import RunRecorder
from hnet_cl.records.run_folder import read_result
from hnet_cl.records.run_log import RunLog
from hnet_cl.report import cli
from hnet_cl.sweeps.settings import check_search

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "metrics.md"
MATRIX: list[list[float | None]] = [[0.8, None], [0.6, 0.9]]
FIRST = Metric(
    "first",
    "first task",
    "its accuracy at the end",
    "%",
    "higher",
    lambda run: run.matrix[-1][0] if run.matrix else None,
)


def recorded(folder: Path) -> None:
    """A run folder as a run of two tasks leaves it."""
    run = state(folder)
    recorder = RunRecorder(run)
    log = RunLog(run, [recorder, TensorBoardLogger()], {})
    log.begin_run()
    for task, row in enumerate(MATRIX):
        log.begin_task(task, 0)
        log.end_task(task)
        log.row(task, row)
    log.end_run("finished")
    recorder.finish(run)


def search(metric: str) -> Any:
    sweeper = OmegaConf.load(conf_dir() / "hydra" / "sweeper" / "optuna.yaml")
    sweeper.metric, sweeper.storage = metric, "sqlite://"
    return check_search(sweeper)  # type: ignore[arg-type]


def test_one_entry_adds_a_metric_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="no such metric"):
        search("first")
    monkeypatch.setitem(METRICS, "first", FIRST)
    recorded(tmp_path / "run")
    result = read_result(tmp_path / "run")
    assert result and result.metrics["first"] == 0.6
    assert [point.value for point in EventAccumulator(str(tmp_path / "run")).Reload().Scalars("metric/first")] == [
        pytest.approx(0.8),
        pytest.approx(0.6),
    ]
    out = Console(file=io.StringIO(), width=200)
    print_summary(result.accuracy_matrix, result.metrics, ["a", "b"], "mnist", out)
    assert "first task (its accuracy at the end)" in out.file.getvalue()  # type: ignore[attr-defined]
    cli.main([str(tmp_path), "--metric", "first"])
    said = capsys.readouterr().out
    assert "first task (its accuracy at the end) in %" in said and "60.00 (1)" in said
    assert search("first").metric == "first"
    assert "first" in compared(), "and so a full report has a table of it"


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_each_is_defined_without_more_than_it_needs(metric: Metric) -> None:
    assert metric.formula(Evidence([])) is None
    assert metric.title and metric.meaning
    of_both = ACCURACY in metric.scores and MSE in metric.scores
    assert metric.unit in (("MB",) if of_both else ("%", "points") if ACCURACY in metric.scores else ("",))
    found = summary(Evidence(MATRIX, score=metric.scores[0]))
    if metric.needs and metric.of == "some runs":
        assert found[metric.name] is None


def test_result_json_has_those_of_a_run_by_itself() -> None:
    """Tools rely on these keys."""
    assert [metric.name for metric in of_a_run()] == [
        *("acc", "acc_low", "acc_high", "during", "bwt", "forgetting", "min_acc", "wc_acc", "certified"),
        *("task_inference", "majority", "recognised", "recognised_real"),
        *("mse", "nmse", "error_during", "error_growth"),
        "memory",
    ]
    assert list(summary(Evidence([], score=MSE))) == ["mse", "error_during", "error_growth", "memory"]
    assert list(summary(Evidence([], score=NMSE))) == ["nmse", "error_during", "error_growth", "memory"]
    assert json.loads(json.dumps(summary(Evidence([])))) == dict.fromkeys(summary(Evidence([])))


def test_the_documentation_has_a_formula_for_each() -> None:
    table = PAGE.read_text().partition("| name | formula |")[2].partition("\n\n")[0]
    titles = [title.strip() for line in table.splitlines()[2:] for title in line.split("|")[1].split(",")]
    assert titles == [metric.title for metric in METRICS.values() if metric.of != "in a report"]
