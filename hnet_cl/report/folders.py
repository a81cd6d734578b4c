"""Finding run folders."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from hnet_cl.records.run_folder import RESULT, SETUP


def run_folders(roots: Iterable[Path], onerror: Callable[[OSError], None]) -> list[Path]:
    """Finds all run folders below some folders at any depth, also behind symbolic links; returns each once.

    A link to a folder that contains the link is not followed. Hidden folders are skipped.

    Args:
        roots: where to look.
        onerror: called with the error for each folder that cannot be listed.
    """
    found: dict[str, Path] = {}
    for root in roots:
        for place, real in _run_folders(root, onerror):
            found.setdefault(real, place)
    return list(found.values())


def _run_folders(root: Path, onerror: Callable[[OSError], None]) -> Iterator[tuple[Path, str]]:
    """Yields the run folders below `root`, each with its real path."""
    seen: set[str] = set()
    for place, folders, files in os.walk(root, onerror=onerror, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        if RESULT in files or SETUP in folders:
            yield Path(place), real
            folders.clear()
        folders[:] = _entered(place, real, folders)


def _entered(place: str, real: str, folders: Sequence[str]) -> list[str]:
    """Returns the names of the subfolders of `place` that are searched, sorted."""
    shown = sorted(name for name in folders if not name.startswith("."))
    return [name for name in shown if not _leads_up(Path(place, name), real)]


def _leads_up(path: Path, real: str) -> bool:
    return path.is_symlink() and Path(real).is_relative_to(os.path.realpath(path))
