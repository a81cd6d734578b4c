"""The names of curves, the same for all loggers that draw them: groups before the slash."""

from collections.abc import Mapping
from statistics import fmean

from hnet_cl.core.scores import SCORES
from hnet_cl.records.run_state import RunState, Samples

LOSS, OLD_TASKS, FINAL = "loss/", "old_tasks/", "final/"
BY_ITERATION = (LOSS, OLD_TASKS)  # starts of the names of curves over iterations; all others are over tasks learned
GROUPS = (*(f"{name}{of}" for name in SCORES for of in ("", "_by_task")), "metric", "recognised", "time")
LOST = tuple(dict.fromkeys(score.loss for score in SCORES.values()))  # curves of no group


def of_losses(losses: Mapping[str, float]) -> dict[str, float]:
    """Returns the losses by the names of their curves: `loss/task` for that of the task, `loss/NAME` for another."""
    return {f"{LOSS}{'task' if name == 'loss' else name}": value for name, value in losses.items()}


def of_window(state: RunState) -> dict[str, float]:
    """Returns the last scores on old tasks in the middle of a task by the names of curves.

    `old_tasks/NN` is the score on task NN, `old_tasks/mean` the mean over them.
    """
    scores, width = state.window[-1].scores, max(2, len(str(len(state.iterations))))
    own = {f"{OLD_TASKS}{number:0{width}}": score for number, score in enumerate(scores, start=1)}
    return {f"{OLD_TASKS}mean": fmean(scores)} | own


def of_row(state: RunState) -> dict[str, float]:
    """Returns what the tasks so far have come to by the names of curves.

    `accuracy/mean` is the mean score, `accuracy_by_task/NN` that of task NN, `forgetting` what was lost, `metric/NAME`
    every other metric that is defined, `time/train_s` and `time/wall_s` the seconds so far.
    """
    score, width = state.score, max(2, len(str(len(state.iterations))))
    own = {score.main: f"{score.name}/mean", score.loss: score.loss}
    curves = {own.get(name, f"metric/{name}"): value for name, value in state.metrics.items() if value is not None}
    for number, value in enumerate(state.matrix[-1], start=1):
        if value is not None:
            curves[f"{score.name}_by_task/{number:0{width}}"] = value
    return curves | {"time/train_s": state.train_time_s, "time/wall_s": state.wall_time_s}


def of_samples(samples: Samples) -> dict[str, float]:
    """Returns the shares of recognised samples by the names of curves: `recognised/NN` of task NN, and of real ones."""
    width = max(2, len(str(len(samples.recognised))))
    shares = {f"recognised/{number:0{width}}": share for number, share in enumerate(samples.recognised, start=1)}
    return shares | {"recognised/real": samples.real}


def final_names(state: RunState) -> list[str]:
    """Returns the names of a run's last numbers, `final/NAME`.

    Mean score, its loss, the memory kept, and the mean score right after learning come first, even where this run has
    no such number; then every other metric that is defined.
    """
    score = state.score
    defined = (name for name, value in state.metrics.items() if value is not None)
    return [f"{FINAL}{name}" for name in dict.fromkeys((score.main, score.loss, "memory", score.during, *defined))]


def of_end(state: RunState) -> dict[str, float]:
    """Returns the metrics of a finished run that are defined by the names `final/NAME`, in their order."""
    values = {name: state.metrics.get(name.removeprefix(FINAL)) for name in final_names(state)}
    return {name: value for name, value in values.items() if value is not None}
