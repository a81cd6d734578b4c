"""The file of task embeddings in a run folder."""

import csv
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.core.plain_text import csv_text
from hnet_cl.core.regular_files import JSON_LIMIT, read_regular

FILE = "task_embeddings.csv"


def write_embeddings(folder: Path, embeddings: Sequence[Sequence[float]]) -> None:
    """Writes the embeddings (T, E) of the tasks so far: a line for each task, a column for each component.

    Raises:
        OSError: the file cannot be written.
    """
    components = range(1, len(embeddings[0]) + 1)
    lines = ([number, *values] for number, values in enumerate(embeddings, start=1))
    write_atomically(folder / FILE, csv_text([["task", *components], *lines]))


def read_embeddings(folder: Path) -> list[list[float]] | None:
    """Reads the embeddings (T, E) of a run folder; None if it has none, or if they are damaged."""
    try:
        text = read_regular(folder / FILE, JSON_LIMIT).decode()
        _, *lines = csv.reader(text.splitlines())
        found = [[float(value) for value in values] for _, *values in lines]
    except (OSError, ValueError, csv.Error):
        return None
    whole = len({len(values) for values in found}) == 1 and bool(found[0])
    return found if whole and all(isfinite(value) for values in found for value in values) else None
