"""Published figures beside measured ones: closed forms of the verdict, and what is compared with what."""

import csv
import io
import math
from pathlib import Path
from typing import Any

import pytest
from fake_runs import square, write_run

from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.report.cli import main
from hnet_cl.report.estimate import Estimate
from hnet_cl.report.published import HEADER, Figure, read_published, verdict

FOLDER = conf_dir() / "published"


@pytest.mark.parametrize(
    ("mean", "sem", "published_sem", "said"),
    [
        (91.0, 0.3, 0.4, "agrees (2.0 standard errors)"),
        (88.9, 0.3, 0.4, "differs (2.2 standard errors)"),
        (90.0, 0.0, 0.0, "agrees (0.0 standard errors)"),
        (90.1, 0.0, 0.0, "differs (inf standard errors)"),
        (90.0, None, 0.4, "one seed, so no verdict"),
        (90.0, 0.3, None, "no verdict, as no error is published"),
    ],
)
def test_verdicts(mean: float, sem: float | None, published_sem: float | None, said: str) -> None:
    """The standard error of a difference is the root of the sum of squares: 0.5 of 0.3 and 0.4."""
    assert verdict(Estimate(3, mean, sem), Figure(90.0, published_sem, 20, "a paper")) == said


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_published_can_be_run(path: Path) -> None:
    figures = read_published(FOLDER)[path.stem].figures
    scenarios, methods = zip(*figures, strict=True)
    assert path.stem in choices(conf_dir(), "benchmark")
    assert set(scenarios) <= set(choices(conf_dir(), "scenario"))
    assert set(methods) <= set(choices(conf_dir(), "method"))
    assert all(0 < figure.mean < 100 and figure.n == 20 and figure.source for figure in figures.values())
    assert all(figure.sem is None or 0 < figure.sem < 3 for figure in figures.values())


def rows(root: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, str]]:
    main([str(root), "--published", "--format", "csv", *options])
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_measured_beside_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, last in enumerate((0.994, 0.996, 0.998), 1):
        write_run(tmp_path, "a", seed, overrides=["device.threads=1"], accuracy_matrix=square(*[last] * 5))
    write_run(tmp_path, "b", 1, method="mine")
    (row,) = rows(tmp_path, capsys)
    error = 0.2 / math.sqrt(3)
    assert row == {
        "benchmark": "smnist",
        "scenario": "task-incremental",
        "method": "HNET",
        "measured": "99.60 ± 0.12 (3)",
        "published": "99.79 ± 0.01 (20)",
        "difference": "-0.19",
        "verdict": f"agrees ({0.19 / math.hypot(error, 0.01):.1f} standard errors)",
        "source": "von Oswald et al. (ICLR 2020), Table 1",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"accuracy_matrix": square(0.8, 1.0)}, "2 tasks"),
        (
            {"data": {"name": "\x1b[31mEV|IL\nmnist", "source": "files", "checksum": "c0ffee"}},
            "data \ufffd[31mEV|IL mnist",
        ),
        ({"overrides": ["training.lr=0.5", "seed=1"]}, "training.lr=0.5"),
        ({"data": {"name": "mnist-5k", "source": "files", "checksum": "c0ffee"}}, "data mnist-5k"),
    ],
)
def test_other_settings_and_data_are_not_comparable(
    changes: dict[str, Any], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, **{"accuracy_matrix": square(*[0.8] * 5), **changes})
    (row,) = rows(tmp_path, capsys)
    assert row["verdict"] == f"not comparable: {reason}"


def test_as_text_and_markdown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, method="si", accuracy_matrix=square(*[0.9] * 5))
    write_run(tmp_path, "b", method="ewc", accuracy_matrix=square(*[0.9] * 5), overrides=["a.b=x|y"])
    main([str(tmp_path), "--published"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [*HEADER]
    assert lines[2].startswith("smnist     task-incremental  EWC     90.00 (1)")
    assert lines[3].startswith("smnist     task-incremental  SI      90.00 (1)")
    assert all(line.endswith("  [1]") for line in lines[2:4])
    assert lines[4:] == ["", "[1] van de Ven & Tolias (2019), Tables 4 and 5"]
    main([str(tmp_path), "--published", "--format", "markdown"])
    source = "van de Ven & Tolias (2019), Tables 4 and 5"
    assert capsys.readouterr().out.splitlines()[1:] == [
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| smnist | task-incremental | EWC | 90.00 (1) | 99.12 ± 0.11 (20) | -9.12 "
        f"| not comparable: a.b=x\\|y | {source} |",
        "| smnist | task-incremental | SI | 90.00 (1) | 99.09 ± 0.15 (20) | -9.09 "
        f"| one seed, so no verdict | {source} |",
    ]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--format", "latex"], "--published: has no --format latex; give one of text, markdown, csv"),
        (["--metric", "bwt"], "--published: is a table of its own, of ACC; leave out --output, --columns and --metric"),
        (
            [],
            "--published: there are no published figures for these runs; there are some for pmnist with dgr, ewc, "
            "hnet, hnet_ent, hnet_r, hnet_tir, si; smnist with dgr, ewc, finetune, hnet, hnet_ent, hnet_r, hnet_tir, "
            "joint, si",
        ),
    ],
)
def test_what_cannot_be_shown_is_a_line(
    options: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, method="mine" if not options else "hnet")
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--published", *options])
    assert capsys.readouterr().err == f"hnet_cl.report: {line}\n"
