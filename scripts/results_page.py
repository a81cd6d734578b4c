"""Keeps the small files of runs behind a table of docs/results.md, and writes that table from them.

Usage:
    python scripts/results_page.py keep NAME FOLDER...  # finished runs below the folders, to docs/results/NAME.tar.xz
    python scripts/results_page.py                      # writes all tables of the page that have an archive

A table stands in the page between two comments, of which the first names the archive and says what the report is asked:

    <!-- runs of split_mnist: --columns scenario,metric --metric acc,bwt -->
    <!-- end of runs -->
"""

import contextlib
import io
import json
import re
import shlex
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.core.errors import UserError, described
from hnet_cl.core.regular_files import JSON_LIMIT, YAML_LIMIT, read_regular
from hnet_cl.core.scores import SCORES
from hnet_cl.records.run_folder import RESULT, SETUP
from hnet_cl.report.cli import main as report
from hnet_cl.report.folders import run_folders

DOCS = Path(__file__).parent.parent / "docs"
PAGE, ARCHIVES = DOCS / "results.md", DOCS / "results"
MACHINE = {"data_dir": "data", "output_dir": "outputs"}  # say where the files were, which is nobody's business
TABLE = re.compile(r"(<!-- runs of (\w+):(.*?) -->\n).*?(<!-- end of runs -->)", re.DOTALL)
KEPT = [f"{score.matrix}.csv" for score in SCORES.values()]  # of a run, beside result and configuration


def keep(archive: Path, roots: Sequence[Path]) -> int:
    """Writes result, matrix and configuration of all finished runs below `roots` to an archive; returns their number.

    The same runs give the same bytes, whenever and wherever they are kept.

    Raises:
        UserError: there is no finished run, two are the same one, or one cannot be kept; nothing is written.
        OSError: a file cannot be read or written.
    """
    folders = [folder for folder in run_folders(roots, _raise) if _status(folder) == "finished"]
    if not folders:
        raise UserError(f"{' '.join(map(str, roots))}: there is no finished run; {archive.name} is left as it is")
    files: dict[str, bytes] = {}
    for folder in folders:
        name = "/".join(folder.resolve().parts[-3:])  # benchmark, configuration, seed
        if f"{name}/{RESULT}" in files:
            raise UserError(f"{folder}: another run is called {name}, too; keep only one of them")
        try:
            files |= {f"{name}/{path}": content for path, content in _files(folder)}
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{folder}: is no run that can be kept ({described(error)})") from error
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", preset=9) as tar:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    write_atomically(archive, packed.getvalue())
    return len(folders)


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yields the files of a run that are kept, and their paths in its folder."""
    yield RESULT, _result(folder / RESULT)
    yield f"{SETUP}/config.yaml", _config(folder / SETUP / "config.yaml")
    for name in KEPT:
        if (folder / name).is_file() and not (folder / name).is_symlink():
            yield name, read_regular(folder / name, JSON_LIMIT)


def table(archive: Path, words: Sequence[str]) -> str:
    """Returns the report's Markdown table of the runs in an archive; `words` are arguments of the report."""
    with TemporaryDirectory() as unpacked, tarfile.open(archive) as packed:
        packed.extractall(unpacked, filter="data")
        with contextlib.redirect_stdout(io.StringIO()) as said:
            report([unpacked, "--format", "markdown", *words])
    return said.getvalue()


def written(page: str) -> str:
    """Returns a page with all tables that have an archive written anew."""

    def fill(found: re.Match[str]) -> str:
        start, name, words, end = found.groups()
        return f"{start}{table(ARCHIVES / f'{name}.tar.xz', shlex.split(words))}{end}"

    return TABLE.sub(fill, page)


def _raise(error: OSError) -> None:
    raise error


def _status(folder: Path) -> Any:
    try:
        result = json.loads(read_regular(folder / RESULT, JSON_LIMIT))
    except (OSError, ValueError):
        return None
    return result.get("status") if isinstance(result, dict) else None


def _result(path: Path) -> bytes:
    result = json.loads(read_regular(path, JSON_LIMIT))
    result["overrides"] = _without_places(result["overrides"])
    result["command"] = shlex.join(_without_places(shlex.split(result["command"])))
    return (json.dumps(result, indent=1) + "\n").encode()


def _without_places(words: Sequence[str]) -> list[str]:
    """Leaves out the words that say where files were.

    Raises:
        ValueError: another word holds an absolute path.
    """
    left = [word for word in words if word.strip("'\"").lstrip("+").partition("=")[0] not in MACHINE]
    if named := [word for word in left if re.search(r"(^|[='\"\[,:])~?/", word)]:
        raise ValueError(f"{named[0]} names a place on this machine")
    return left


def _config(path: Path) -> bytes:
    config = yaml.safe_load(read_regular(path, YAML_LIMIT))
    kept = config | {key: usual for key, usual in MACHINE.items() if key in config}
    return yaml.safe_dump(kept, sort_keys=False).encode()


def main(arguments: Sequence[str]) -> None:
    """Runs the command line; see above.

    Raises:
        UserError: the arguments are wrong, or the runs cannot be kept or shown.
    """
    if len(arguments) > 2 and arguments[0] == "keep":
        if not re.fullmatch(r"\w+", arguments[1]):
            raise UserError(f"{arguments[1]}: give a name of letters, digits and underscores, as the page names it")
        target = ARCHIVES / f"{arguments[1]}.tar.xz"
        print(f"{target.name}: {keep(target, [Path(word) for word in arguments[2:]])} runs")
    elif not arguments:
        write_atomically(PAGE, written(PAGE.read_text()))
    else:
        raise UserError(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (UserError, OSError, ValueError, tarfile.TarError) as error:
        sys.exit(f"results_page: {error}")
