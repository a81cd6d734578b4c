"""What programs get of a report."""

from pathlib import Path

import numpy as np
import pytest
from fake_runs import square, write_run

from hnet_cl import compare
from hnet_cl.core.errors import UserError
from hnet_cl.report.cli import main as report


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, last in ((1, 0.8), (2, 0.6)):
        write_run(tmp_path, config="a", seed=seed, accuracy_matrix=square(last, 1.0))
    write_run(tmp_path, config="b", method="ewc", status="failed", error="loss is nan", accuracy_matrix=[])
    return tmp_path


def test_a_comparison_is_the_reports(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compared = compare(root, metric="acc,bwt", columns=["metric"], ci=True)
    for text, name in ((str(compared), "text"), (compared.markdown(), "markdown"), (compared.latex(), "latex")):
        report([str(root), "--metric", "acc,bwt", "--columns", "metric", "--ci", "--format", name])
        assert capsys.readouterr().out == text
    assert compared._repr_markdown_() == compared.markdown()
    assert "1 failed run, not averaged" in str(compared)


def test_its_frame_has_full_precision(root: Path) -> None:
    frame = compare(root, where="method=hnet").frame
    assert frame[["method", "metric", "n", "mean"]].values.tolist() == [["hnet", "acc", 2, pytest.approx(0.85)]]
    half = np.tan(np.pi * 0.475) * 0.05  # Student's t with one degree of freedom is Cauchy's
    assert frame["ci95_high"][0] == pytest.approx(0.85 + half)


def test_a_key_that_no_run_has(root: Path) -> None:
    with pytest.raises(UserError, match="rows methd: no run has this key; did you mean method"):
        compare(root, rows="methd")
