"""Answers as the columns of a CSV table, and the file that they are written to."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from torch import Tensor

from hnet_cl.core.atomic_files import replace_file
from hnet_cl.methods.base import Prediction
from hnet_cl.predict.options import COLUMNS
from hnet_cl.predict.trained import Trained


def columns_of(
    trained: Trained, task: int | None, names: Sequence[str], answers: Prediction
) -> dict[str, Sequence[str]]:
    """Returns the columns of the CSV table by name.

    Args:
        trained: the trained learner.
        task: the given task, from 0; None if it is not given.
        names: (b,) names of the inputs.
        answers: to these inputs.
    """
    tasks = [task] * len(names) if answers.task is None else answers.task.tolist()
    meant = [trained.meaning(output, task) for output, task in zip(answers.output.tolist(), tasks, strict=True)]
    sure = answers.confidence
    values = (
        names,
        [label for label, _ in meant],
        [owner for _, owner in meant],
        [""] * len(names) if sure is None else _written(sure),
    )
    columns: dict[str, Sequence[str]] = dict(zip(COLUMNS, values, strict=True))
    return columns if answers.task_score is None else columns | {"task_score": _written(answers.task_score)}


def _written(values: Tensor) -> list[str]:
    return [f"{value:.6f}" for value in values.tolist()]


@contextmanager
def opened(path: Path | None) -> Iterator[TextIO]:
    """Opens a file that replaces `path` at the end, or standard output if it is None."""
    if path is None:
        yield sys.stdout
        return
    with replace_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        yield file
