"""The file of task embeddings in a run folder."""

import csv
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.core.plain_text import csv_text
from hnet_cl.core.regular_files import JSON_LIMIT, read_regular

FILE = "task_embeddings.csv"
LEAST, LARGEST = 1e-45, 3.5e38  # just beyond the numbers of float32


def write_embeddings(folder: Path, embeddings: Sequence[Sequence[float]]) -> None:
    """Writes the embeddings (T, E) of the tasks so far: a line for each task, a column for each component.

    Raises:
        OSError: the file cannot be written.
    """
    components = range(1, len(embeddings[0]) + 1)
    lines = ([number, *values] for number, values in enumerate(embeddings, start=1))
    write_atomically(folder / FILE, csv_text([["task", *components], *lines]))


def read_embeddings(folder: Path) -> list[list[float]] | None:
    """Reads the embeddings (T, E) of a run folder; None if it has none, or the file is not as it was written."""
    try:
        text = read_regular(folder / FILE, JSON_LIMIT).decode()
        head, *lines = csv.reader(text.splitlines())
        found = [[float(value) for value in values] for _, *values in lines]
    except (OSError, ValueError, csv.Error):
        return None
    numbered = [line[0] for line in lines] == [str(task) for task in range(1, len(lines) + 1)]
    named = len(head) > 1 and head == ["task", *map(str, range(1, len(head)))]
    whole = bool(found) and all(len(values) == len(head) - 1 for values in found)
    return found if numbered and named and whole and all(map(_is_float32, chain(*found))) else None


def _is_float32(value: float) -> bool:
    """Tells whether a number can be one of a network's, and neither its square nor that of a difference overflows."""
    return value == 0 or LEAST <= abs(value) <= LARGEST
