"""Draws the toy regression after each task, for several methods.

Usage: python scripts/toy_regression.py FILE.png [KEY=VALUE ...]
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from hnet_cl import build
from hnet_cl.benchmarks.base import Task
from hnet_cl.benchmarks.toy_regression import POLYNOMIALS
from hnet_cl.config.check import check
from hnet_cl.config.composing import compose_job
from hnet_cl.methods.base import Learner
from hnet_cl.training.trainer import train

METHODS = ("hnet", "finetune", "ewc")
SHARED = ("scenario.heads=shared", "scenario.classes=shared")  # as in the official code: one output for all tasks
COLOURS = ("#0072B2", "#D55E00", "#009E73")  # of the tasks
POINTS = 100  # per curve


def fits(method: str, overrides: Sequence[str]) -> tuple[Sequence[Task], list[list[Tensor]]]:
    """Trains a method; returns the tasks, and after each of them the predictions (POINTS,) for each task so far."""
    words = ["benchmark=toy_regression", f"method={method}", *SHARED, *overrides]
    config = compose_job(words, None).settings
    plan = check(config)
    device = build.build_device(plan.device)
    benchmark = build.build_benchmark(plan, Path(config["data_dir"]), device)
    learner = build.build_learner(plan, benchmark.in_shape, benchmark.class_counts, device)
    curves = []
    for row in train(learner, benchmark.tasks, plan.training, []):
        if row is not None:
            curves.append([predicted(learner, task) for task in range(learner.latest + 1)])
            print(f"{method}, after task {learner.latest + 1}: MSE {row.scores}", flush=True)
    return benchmark.tasks, curves


def predicted(learner: Learner, task: int) -> Tensor:
    """Returns what a learner predicts (POINTS,) over the range of a task's inputs."""
    _, _, low, high = POLYNOMIALS[task]
    return learner.predict(torch.linspace(low, high, POINTS)[:, None], task).output[:, 0]


def draw(axes: Axes, tasks: Sequence[Task], curves: Sequence[Tensor]) -> None:
    """Draws targets, training data, and the predictions for the tasks so far."""
    for number, (task, (_, function, low, high)) in enumerate(zip(tasks, POLYNOMIALS, strict=True)):
        x, colour = torch.linspace(low, high, POINTS), COLOURS[number]
        axes.plot(x, function(x), color="#999999", linewidth=3, alpha=0.6)
        if number < len(curves):
            inputs, labels = task.train.batch(slice(None))
            axes.scatter(inputs[:, 0], labels[:, 0], s=4, color=colour, alpha=0.4)
            axes.plot(x, curves[number], color=colour, linestyle="--", linewidth=1.6)
    axes.set_ylim(-2.6, 2.6)


def main(arguments: Sequence[str]) -> None:
    """Trains the methods and writes the figure."""
    file, *overrides = arguments
    figure = Figure(figsize=(9, 7), layout="constrained")
    grid = figure.subplots(len(METHODS), len(POLYNOMIALS), sharex=True, sharey=True)
    for line, method in zip(grid, METHODS, strict=True):
        tasks, after = fits(method, overrides)
        for number, (axes, curves) in enumerate(zip(line, after, strict=True), start=1):
            draw(axes, tasks, curves)
            axes.set_title(f"{method}, after task {number}", loc="left", fontsize=9)
    figure.supxlabel("x (grey: target, dots: training data, dashed: fit)", fontsize=9)
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1:])
