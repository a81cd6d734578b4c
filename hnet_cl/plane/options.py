"""Parsing of the command-line options. Imports nothing heavy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.predict.options import device_of, positive, trusted, values_of
from hnet_cl.report.forms import FONTS, WIDTHS, Form

KEYS = ("run", "output", "tasks", "points", "examples", "data_dir", "device", "width", "style", "trust")
EXAMPLE = "python -m hnet_cl.plane run=outputs/smnist-cl1-hnet/1a2b3c4d/seed=1 output=plane"
POINTS, EXAMPLES = 31, 2500
MOST_POINTS = 500  # along each axis, more than a figure of a page's width has pixels for


@dataclass(frozen=True)
class Options:
    """The parsed options; `tasks` count from 1 and are empty for the first and the last one.

    `points` is the number along each axis, `examples` the largest number of test examples of a task. None stands for
    the run's own `data_dir`.
    """

    run: Path
    output: Path
    tasks: Sequence[int]
    points: int
    examples: int
    data_dir: Path | None
    device: str
    form: Form
    trusted: Sequence[str]


def parse(words: Sequence[str]) -> Options:
    """Parses words of the form key=value.

    Raises:
        UserError: a word, key or value is wrong, or a required key is missing.
    """
    given = values_of(words, KEYS, ("run", "output"), EXAMPLE)
    values = {key: found[0] for key, found in given.items()}
    points = positive("points", values) or POINTS
    if not 2 <= points <= MOST_POINTS:
        raise UserError(f"points={points}: give a whole number from 2 to {MOST_POINTS}, of points along each axis")
    return Options(
        run=Path(values["run"]),
        output=Path(values["output"]),
        tasks=_tasks(values),
        points=points,
        examples=positive("examples", values) or EXAMPLES,
        data_dir=Path(values["data_dir"]) if "data_dir" in values else None,
        device=device_of(values),
        form=Form(_name("width", WIDTHS, values), _name("style", FONTS, values)),
        trusted=trusted(values),
    )


def _tasks(values: Mapping[str, str]) -> list[int]:
    if "tasks" not in values:
        return []
    numbers = [positive("tasks", {"tasks": part}) or 0 for part in values["tasks"].split(",")]
    if len(set(numbers)) < len(numbers):
        raise UserError(f"tasks={shown(values['tasks'])}: names a task twice")
    return numbers


def _name(key: str, names: Mapping[str, float], values: Mapping[str, str]) -> str | None:
    if key in values and values[key] not in names:
        raise UserError(f"{key}={shown(values[key])}: give {' or '.join(names)}")
    return values.get(key)
