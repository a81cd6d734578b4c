"""Classification of files into a CSV table, in the order of the inputs, with little more than a batch in memory."""

import sys
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from hnet_cl.core.plain_text import csv_text
from hnet_cl.predict.answers import columns_of, opened
from hnet_cl.predict.inputs import Form, Inputs, Problem, read
from hnet_cl.predict.options import COLUMNS, Options
from hnet_cl.predict.test_set import classify_test_set
from hnet_cl.predict.trained import Trained, load


def classify(options: Options) -> int:
    """Classifies all inputs and writes a CSV table; returns how many inputs could not be used.

    Prints a line on standard error for each input that could not be used.

    Raises:
        UserError: the run cannot be used, or not with these options.
        OSError: the answers cannot be written; an existing file is then left unchanged.
    """
    trained = load(options.run, options.device, options.trusted, alone=not options.test_set)
    if options.test_set:
        return classify_test_set(trained, options)
    task = trained.task_index(options.task)
    size = options.batch_size or trained.plan.training.eval_batch_size
    form = Form(trained.in_shape, trained.image_kinds(task), trained.image_kinds(0) if task is None else ())
    usable = _Usable(part for path in options.inputs for part in read(path, form, size))
    number = 0
    with opened(options.output) as file:
        for batch in _batches(usable, size):
            columns = answer(trained, task, batch, usable)
            if columns["file"] and not number:
                file.write(csv_text([[*columns]]))
            file.write(csv_text(zip(*columns.values(), strict=True)))
            number += len(columns["file"])
        if not number:
            file.write(csv_text([COLUMNS]))
    if options.output:
        print(f"{options.output}: {number} answers")
    return usable.problems


def answer(trained: Trained, task: int | None, batch: Inputs, usable: "_Usable") -> dict[str, Sequence[str]]:
    """Classifies a batch; returns the columns of the CSV table by name, without the inputs that have no answer.

    Args:
        trained: the trained learner.
        task: the given task, from 0; None if it is not given.
        batch: the inputs.
        usable: where inputs whose answer is NaN or infinite are reported.
    """
    learner = trained.learner
    with torch.no_grad():
        prediction = learner.predict(batch.values.to(trained.device), task)
    bad = prediction.invalid(learner.heads)
    for row in bad.nonzero()[:, 0].tolist():
        usable.refuse(Problem(batch.names[row], "has no answer: what the network makes of it is NaN or infinite"))
    names = [name for name, invalid in zip(batch.names, bad.tolist(), strict=True) if not invalid]
    return columns_of(trained, task, names, prediction.only(~bad))


class _Usable:
    """An iterable of the usable inputs among those read; prints a line for each problem and counts them."""

    def __init__(self, found: Iterable[Inputs | Problem]) -> None:
        self._found = found
        self.problems = 0

    def refuse(self, problem: Problem) -> None:
        """Prints what is wrong with an input on standard error, and counts it."""
        self.problems += 1
        print(f"hnet_cl.predict: {problem.name}: {problem.reason}", file=sys.stderr)

    def __iter__(self) -> Iterator[Inputs]:
        for part in self._found:
            if isinstance(part, Inputs):
                yield part
            else:
                self.refuse(part)


def _batches(parts: Iterable[Inputs], size: int) -> Iterator[Inputs]:
    """Yields the same inputs in batches of up to `size`, without splitting any of `parts` (each at most `size`)."""
    names: list[str] = []
    values: list[Tensor] = []
    for part in parts:
        if values and len(names) + len(part.names) > size:
            yield Inputs(names, torch.cat(values))
            names, values = [], []
        names.extend(part.names)
        values.append(part.values)
    if values:
        yield Inputs(names, torch.cat(values))
