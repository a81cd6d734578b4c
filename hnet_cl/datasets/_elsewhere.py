"""Where data lie that are not where they are looked for."""

import os
from collections.abc import Collection
from pathlib import Path

_DEPTH = 3  # folders below the one that is searched


def elsewhere(names: Collection[str], below: Path, place: Path) -> Path | None:
    """A file or folder with one of these names in `below`, a few levels deep or just above it, but not at `place`."""
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
