"""The files of a full report."""

from pathlib import Path
from typing import Any

import pytest
from fake_runs import readable, write_run

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.core.errors import UserError
from hnet_cl.records.metrics_table import METRICS
from hnet_cl.report import output
from hnet_cl.report.cli import main
from hnet_cl.report.comparison import Comparison
from hnet_cl.report.grouping import Layout, sections
from hnet_cl.report.output import write_report
from hnet_cl.report.ownership import require_own
from hnet_cl.report.selection import select
from hnet_cl.report.tables import tables

USUAL = Layout(["method"], ["scenario"])
QUICKLY = ("--figure", "accuracy")


def test_all_files(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", config="a")
    write_run(tmp_path / "runs", config="b", data={"name": "mnist (validation)", "checksum": "c"})
    selection = select(readable(tmp_path / "runs"), [], ())
    found = tables(sections(selection.finished, USUAL), [METRICS["acc"], METRICS["bwt"]], USUAL)
    folder = tmp_path / "new" / "report"
    compared = Comparison(found, selection, [], False)
    path = write_report(folder, compared, "command")
    assert path == folder / "index.html" and path.read_text().count("<figure>") == 8
    assert {file.name: file.read_text() for file in folder.glob("table.*")} == {
        "table.txt": compared.render("text"),
        "table.md": compared.render("markdown"),
        "table.tex": compared.render("latex"),
        "table.csv": compared.render("csv"),
    }
    names = {file.name for file in (folder / "plots").iterdir()}
    plots = ("accuracy", "accuracy_matrix", "during_final", "forgetting")
    starts = ("1-smnist-mnist", "2-smnist-mnist-validation")
    assert names == {f"{start}-{plot}.{kind}" for start in starts for plot in plots for kind in ("pdf", "png", "svg")}
    assert (folder / "plots" / "1-smnist-mnist-accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_one_figure_in_a_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs", config="a")
    chosen = ["--figure", "during_final", "--width", "column", "--style", "paper"]
    main([str(tmp_path / "runs"), "--output", str(tmp_path / "report"), *chosen])
    start = "1-smnist-mnist-during_final"
    names = {file.name for file in (tmp_path / "report" / "plots").iterdir()}
    assert names == {f"{start}.{kind}" for kind in ("pdf", "png", "svg")}
    one, other = ((tmp_path / "report" / name).read_bytes() for name in ("figure.pdf", f"plots/{start}.pdf"))
    assert one == other
    assert capsys.readouterr().err == f"Drawing 1 figure into {tmp_path / 'report'}.\n"
    for words, line in (
        (["--width", "page"], "--width: figures are part of a whole report; add --output FOLDER"),
        (["--figure", "acuracy"], "--figure acuracy: no such figure; did you mean accuracy?"),
        (["--figure", "mse", "--output", "x"], "--figure mse: no run has what it shows"),
    ):
        with pytest.raises(SystemExit):
            main([str(tmp_path / "runs"), *words])
        assert capsys.readouterr().err == f"hnet_cl.report: {line}\n"


@pytest.mark.parametrize("name", ["index.html", "table.csv", "table.tex", "figure.pdf", "plots"])
def test_somebody_elses_files_are_not_replaced(name: str, tmp_path: Path) -> None:
    write_run(tmp_path / "runs", config="a")
    (tmp_path / name).write_text("mine")
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path / "runs"), "--output", str(tmp_path)])
    assert end.value.code == 2 and (tmp_path / name).read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {name, "runs"}


@pytest.mark.slow
def test_a_report_is_replaced(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", config="a")
    for _ in range(2):
        main([str(tmp_path / "runs"), "--output", str(tmp_path / "report"), *QUICKLY])
        (tmp_path / "report" / "table.csv").write_text("old")
    main([str(tmp_path / "runs"), "--output", str(tmp_path / "report"), *QUICKLY])
    assert (tmp_path / "report" / "table.csv").read_text() != "old"


@pytest.mark.slow
def test_a_report_that_was_killed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any number of files, the folder is a report's."""
    write_run(tmp_path / "runs", config="a")
    folder = tmp_path / "report"
    for files in range(6):
        left = [files]

        def writes(path: Path, content: Any, left: list[int] = left) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            write_atomically(path, content)

        with monkeypatch.context() as patch:
            patch.setattr(output, "write_atomically", writes)
            with pytest.raises(KeyboardInterrupt):
                main([str(tmp_path / "runs"), "--output", str(folder), *QUICKLY])
    main([str(tmp_path / "runs"), "--output", str(folder), *QUICKLY])
    assert "<table" in (folder / "index.html").read_text()


def test_a_place_that_is_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"^hydra.sweeper.report=file: is no folder; give another one"):
        require_own(tmp_path / "file", "hydra.sweeper.report=file")
