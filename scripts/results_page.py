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
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from hnet_cl.records.run_folder import RESULT, SETUP
from hnet_cl.report.cli import main as report
from hnet_cl.report.folders import run_folders

DOCS = Path(__file__).parent.parent / "docs"
PAGE, ARCHIVES = DOCS / "results.md", DOCS / "results"
MACHINE = {"data_dir": "data", "output_dir": "outputs"}  # say where the files were, which is nobody's business
TABLE = re.compile(r"(<!-- runs of (\w+):(.*?) -->\n).*?(<!-- end of runs -->)", re.DOTALL)


def keep(archive: Path, roots: Sequence[Path]) -> int:
    """Writes result, matrix and configuration of all finished runs below `roots` to an archive; returns their number.

    The same runs give the same bytes, whenever and wherever they are kept.
    """
    files = {}
    folders = [folder for folder in run_folders(roots, _raise) if _status(folder) == "finished"]
    for folder in folders:
        name = "/".join(folder.parts[-3:])  # benchmark, configuration, seed
        files[f"{name}/{RESULT}"] = _result(folder / RESULT)
        files[f"{name}/{SETUP}/config.yaml"] = _config(folder / SETUP / "config.yaml")
        files |= {f"{name}/{path.name}": path.read_bytes() for path in folder.glob("*_matrix.csv")}
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return len(folders)


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
    return json.loads((folder / RESULT).read_text())["status"] if (folder / RESULT).exists() else None


def _result(path: Path) -> bytes:
    result = json.loads(path.read_text())
    result["overrides"] = _without_places(result["overrides"])
    result["command"] = shlex.join(_without_places(shlex.split(result["command"])))
    return (json.dumps(result, indent=1) + "\n").encode()


def _without_places(words: Sequence[str]) -> list[str]:
    return [word for word in words if word.lstrip("+").partition("=")[0] not in MACHINE]


def _config(path: Path) -> bytes:
    config = yaml.safe_load(path.read_text())
    kept = config | {key: usual for key, usual in MACHINE.items() if key in config}
    return yaml.safe_dump(kept, sort_keys=False).encode()


if __name__ == "__main__":
    if len(sys.argv) > 3 and sys.argv[1] == "keep":
        target = ARCHIVES / f"{sys.argv[2]}.tar.xz"
        print(f"{target}: {keep(target, [Path(word) for word in sys.argv[3:]])} runs")
    elif len(sys.argv) == 1:
        PAGE.write_text(written(PAGE.read_text()))
    else:
        sys.exit(__doc__)
