"""The files of a full report."""

from pathlib import Path

import pytest
from fake_runs import readable, write_run

from hnet_cl.records.metrics_table import METRICS
from hnet_cl.report.cli import main
from hnet_cl.report.comparison import Comparison
from hnet_cl.report.grouping import Layout, sections
from hnet_cl.report.output import write_report
from hnet_cl.report.selection import select
from hnet_cl.report.tables import tables

USUAL = Layout(["method"], ["scenario"])


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
    assert names == {f"{start}-{plot}.{kind}" for start in starts for plot in plots for kind in ("png", "svg")}
    assert (folder / "plots" / "1-smnist-mnist-accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "figure.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["index.html", "table.csv", "table.tex", "figure.pdf"])
def test_somebody_elses_files_are_not_replaced(name: str, tmp_path: Path) -> None:
    write_run(tmp_path / "runs", config="a")
    (tmp_path / name).write_text("mine")
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path / "runs"), "--output", str(tmp_path)])
    assert end.value.code == 2 and (tmp_path / name).read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {name, "runs"}


def test_a_report_is_replaced(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", config="a")
    for _ in range(2):
        main([str(tmp_path / "runs"), "--output", str(tmp_path / "report")])
        (tmp_path / "report" / "table.csv").write_text("old")
    main([str(tmp_path / "runs"), "--output", str(tmp_path / "report")])
    assert (tmp_path / "report" / "table.csv").read_text() != "old"
