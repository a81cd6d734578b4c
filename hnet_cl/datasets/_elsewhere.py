"""A search for data files that are not in the expected place, to name them in error messages."""

import os
from collections.abc import Collection
from pathlib import Path

_DEPTH = 3  # levels of folders below the one that is searched


def elsewhere(names: Collection[str], below: Path, place: Path) -> Path | None:
    """Returns a file or folder with one of the `names` that is not at `place`; None if there is none.

    Searches `below` to a few levels of depth; `below` itself and its parent count if they have such a name.
    """
    for folder in (below, below.parent):
        if folder.name in names and folder != place:
            return folder
    for current, folders, files in os.walk(below):
        here = Path(current)
        for name in sorted({*folders, *files} & set(names)):
            if here / name != place:
                return here / name
        folders[:] = sorted(folders) if len(here.relative_to(below).parts) < _DEPTH else []
    return None
