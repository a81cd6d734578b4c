"""What programs get of a report: one row for each run, and tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import square, write_run

from hnet_cl import compare, results
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


def test_one_row_for_each_run(root: Path) -> None:
    frame = results(root).sort_values(["method", "seed"], ignore_index=True)
    assert frame["method"].tolist() == ["ewc", "hnet", "hnet"] and frame["status"][0] == "failed"
    assert frame["acc"].tolist()[1:] == [0.9, 0.8] and pd.isna(frame["acc"][0])
    np.testing.assert_array_equal(frame["matrix"][2], [[1.0, np.nan], [0.6, 1.0]])
    assert frame["matrix"][0].shape == (0, 2) and frame["error"][0] == "loss is nan"
    assert frame["folder"][1] == str(root / "smnist-cl1-hnet" / "a" / "seed=1")
    assert frame.groupby("method")["acc"].mean()["hnet"] == pytest.approx(0.85)


def test_what_cannot_be_read_is_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "broken").mkdir()
    (root / "broken" / "result.json").write_text("[]")
    assert len(results(root)) == 3
    assert f"{root / 'broken'}: left out: result.json is not a result of hnet_cl (not a JSON object)" in caplog.text


def test_a_folder_that_is_not_there(root: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        results(root / "missing")
