"""The four formats: values by hand, alignment, escaping."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_runs import readable, square, write_run
from hypothesis import given
from hypothesis import strategies as st

from hnet_cl.records.metrics_table import METRICS
from hnet_cl.report.grouping import Layout, sections
from hnet_cl.report.tables import Table, escape_latex, latex, markdown, tables, text, to_csv

USUAL = Layout(["method"], ["scenario"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """hnet in cl1 with ACC 0.9, 0.8 and 0.7, ewc_x in cl2 with ACC 0.5."""
    for seed, last in ((1, 0.8), (2, 0.6), (3, 0.4)):
        write_run(tmp_path, config="a", seed=seed, accuracy_matrix=square(last, 1.0))
    write_run(tmp_path, config="b", method="ewc_x", scenario="cl2", accuracy_matrix=square(0.0, 1.0))
    return tmp_path


def made(root: Path, names: Sequence[str] = ("acc",), layout: Layout = USUAL) -> list[Table]:
    return tables(sections(readable(root), layout), [METRICS[name] for name in names], layout)


def test_text(root: Path) -> None:
    # standard deviation 0.1, so the standard error is 0.1 / sqrt(3) = 0.0577
    assert text(made(root), False, []).splitlines() == [
        "smnist, mnist, 2 tasks: ACC (mean accuracy after the last task) in %",
        "",
        "method  cl1               cl2",
        "─" * 35,
        "hnet    80.00 ± 5.77 (3)",
        "ewc_x                     50.00 (1)",
        "",
        "mean ± standard error (number of seeds)",
    ]


def test_intervals(root: Path) -> None:
    half = 4.302653 * 0.1 / math.sqrt(3)
    line = text(made(root), True, []).splitlines()[4]
    assert line == f"hnet    80.00 [{100 * (0.8 - half):.2f}, {100 * (0.8 + half):.2f}] (3)"


def test_notes_come_last(root: Path) -> None:
    notes = ["1 failed run, not averaged:", "  a*b: x"]
    assert text(made(root), False, notes).endswith("seeds)\n\n1 failed run, not averaged:\n  a*b: x\n")
    assert markdown(made(root), False, notes).endswith("seeds)\n\n1 failed run, not averaged:\n- a\\*b: x\n")
    assert "% 1 failed run, not averaged:\n%   a*b: x\n" in latex(made(root), False, notes)


def test_without_finished_runs() -> None:
    assert text([], False, []) == markdown([], False, []) == "no finished run\n"
    assert "% no finished run" in latex([], False, [])
    assert to_csv([], False, []).count("\n") == 1


def test_markdown(root: Path) -> None:
    assert markdown(made(root), False, []).splitlines()[:6] == [
        "**smnist, mnist, 2 tasks: ACC (mean accuracy after the last task) in %**",
        "",
        "| method | task-incremental | domain-incremental |",
        "| --- | ---: | ---: |",
        "| HNET | 80.00 ± 5.77 (3) |  |",
        "| ewc_x |  | 50.00 (1) |",
    ]


def test_latex(root: Path) -> None:
    lines = latex(made(root), False, []).splitlines()
    assert lines[0] == r"% needs \usepackage{booktabs}"
    assert r"\begin{tabular}{lrr}" in lines and r"method & task-incremental & domain-incremental \\" in lines
    assert r"ewc\_x &  & $50.00$ (1) \\" in lines and r"HNET & $80.00 \pm 5.77$ (3) &  \\" in lines
    assert lines[4].startswith(r"\caption{") and r"in \%; mean $\pm$ standard error" in lines[4]


def test_the_best_are_bold_within_the_error_of_the_best(tmp_path: Path) -> None:
    """The best, 0.8 ± 0.1, is matched by 0.725; the bounds are no rivals."""
    last = {"hnet": (0.4, 0.8), "ewc": (0.45,), "si": (0.2,), "joint": (0.9,)}
    for method, values in last.items():
        for seed, value in enumerate(values, 1):
            write_run(tmp_path, method, seed, method=method, accuracy_matrix=square(value, 1.0))
    lines = markdown(made(tmp_path), False, []).splitlines()
    assert lines[4:8] == [
        "| HNET | **80.00 ± 10.00** (2) |",
        "| EWC | **72.50** (1) |",
        "| SI | 60.00 (1) |",
        "| Joint | 95.00 (1) |",
    ]
    found = latex(made(tmp_path, ("forgetting",)), False, [])
    assert r"HNET & \boldmath$+40.00 \pm 20.00$ (2) \\" in found, "of forgetting, the least is the best"
    assert r"EWC & \boldmath$+55.00$ (1) \\" in found and r"SI & $+80.00$ (1) \\" in found


@pytest.mark.parametrize(
    ("metric", "cells"),
    [("memory", ["0.5000", "**0.2500**"]), ("certified", ["**75.00**", "50.00"]), ("majority", ["50.00", "25.00"])],
)
def test_the_best_is_what_the_metric_says(metric: str, cells: list[str], tmp_path: Path) -> None:
    """Of memory, the least is the best; of the share of the most frequent label, nothing is."""
    values = (("hnet", 500_000, 0.75, 0.5), ("ewc", 250_000, 0.5, 0.25))
    for method, size, proved, majority in values:
        matrix = [[1.0, None], [proved, proved]]
        facts = {"memory_bytes": {"total": size}, "certified_matrix": matrix, "metrics": {"majority": majority}}
        write_run(tmp_path, method, method=method, **facts)
    lines = markdown(made(tmp_path, (metric,)), False, []).splitlines()
    assert lines[4:6] == [f"| HNET | {cells[0]} (1) |", f"| EWC | {cells[1]} (1) |"]


@given(st.text())
def test_latex_escapes_leave_nothing_special(plain: str) -> None:
    escaped = escape_latex(plain)
    for command in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"\textless{}", r"\textbar{}"):
        escaped = escaped.replace(command, "")
    for command in (r"\textgreater{}", r"\textquotedbl{}", r"$\pm$", *(f"\\{char}" for char in "&%$#_{}")):
        escaped = escaped.replace(command, "")
    assert not set(escaped) & set("\\&%$#_{}~^")
    assert all(ord(char) < 0x180 for char in escaped)


def test_csv_has_full_precision(root: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(made(root, ("acc", "bwt")), False, ["unseen"]))))
    assert [(row["method"], row["metric"]) for row in rows] == [
        ("hnet", "acc"),
        ("ewc_x", "acc"),
        ("hnet", "bwt"),
        ("ewc_x", "bwt"),
    ]
    hnet = rows[0]
    assert (hnet["benchmark"], hnet["data.name"], hnet["scenario"], hnet["settings"]) == ("smnist", "mnist", "cl1", "")
    assert (hnet["n"], hnet["seeds"], hnet["config_ids"]) == ("3", "1 2 3", "a")
    assert float(hnet["mean"]) == pytest.approx(0.8, abs=1e-15)
    assert float(hnet["sem"]) == pytest.approx(0.1 / math.sqrt(3), rel=1e-12)
    half = float(hnet["ci95_high"]) - float(hnet["mean"])
    assert half == pytest.approx(4.30265272974946 * 0.1 / math.sqrt(3), rel=1e-9)
    assert (rows[1]["n"], rows[1]["sem"], rows[1]["ci95_low"]) == ("1", "", "")


def test_metrics_side_by_side(root: Path) -> None:
    (table,) = made(root, ("acc", "forgetting", "transfer"), Layout(["method"], ["scenario"], (), True))
    assert table.header == ["method", "cl1, ACC", "cl1, forgetting", "cl2, ACC", "cl2, forgetting"]
    assert "hnet    80.00 ± 5.77 (3)  +40.00 ± 11.55 (3)" in text([table], False, [])


def test_rows_and_columns_without_a_number_are_left_out(root: Path) -> None:
    write_run(root, config="c", benchmark="toy", accuracy_matrix=[[1.0]])
    write_run(root, config="d", method="joint", accuracy_matrix=[[1.0, None], [None, None]], status="running")
    (table,) = made(root, ("bwt",))
    assert table.section.title == "smnist, mnist, 2 tasks"
    assert made(root, ("transfer",)) == []


def test_no_column_keys(root: Path) -> None:
    (table,) = made(root, layout=Layout(["method", "scenario"], []))
    assert table.header == ["method, scenario", "ACC"]
    assert [row.label for row, _ in table.rows] == ["hnet, cl1", "ewc_x, cl2"]
