"""How numbers are shown, and which can be asked for."""

from pathlib import Path

import pytest
from fake_runs import readable, write_run

from hnet_cl.core.errors import UserError
from hnet_cl.records.metrics_table import METRICS, Quantity, compared
from hnet_cl.report.quantities import quantities

TIME = Quantity("wall_time_s", "wall_time_s", "", "")


@pytest.mark.parametrize(
    ("quantity", "value", "text"),
    [
        (METRICS["acc"], 0.98765, "98.77"),
        (METRICS["acc"], 1.0, "100.00"),
        (METRICS["bwt"], -0.0123, "-1.23"),
        (METRICS["memory"], 1_913_640, "1.91"),
        (METRICS["memory"], 824, "0.00082"),
        (METRICS["bwt"], 0.0123, "+1.23"),
        (METRICS["forgetting"], -0.00001, "+0.00"),
        (TIME, 0.12345, "0.1235"),
        (TIME, 12.345, "12.35"),
        (TIME, 123.45, "123.5"),
        (TIME, 478410, "478410"),
        (TIME, -2000.4, "-2000"),
    ],
)
def test_shown(quantity: Quantity, value: float, text: str) -> None:
    assert quantity.shown(value) == text


def test_a_standard_error_is_as_fine_as_its_mean() -> None:
    assert METRICS["bwt"].shown_width(0.00123, -0.5) == "0.12"
    assert METRICS["memory"].shown_width(12_345, 1_913_640) == "0.01"
    assert TIME.shown_width(0.26, 123.45) == "0.3"


def test_any_number_of_a_run_can_be_asked_for(tmp_path: Path) -> None:
    write_run(tmp_path)
    runs = readable(tmp_path)
    acc, time = quantities(["acc", "wall_time_s"], compared(), runs, {})
    assert acc == METRICS["acc"] and time == TIME
    assert quantities(None, ["bwt"], runs, {}) == [METRICS["bwt"]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ac", "no finished run has it; did you mean acc?"),
        (
            "transfer",
            "no finished run has it; it is defined beside a run from scratch with the same tasks, seed, target, "
            "training and precision: do this",
        ),
        ("device", "no finished run has it"),  # not a number
    ],
)
def test_what_no_run_has(tmp_path: Path, name: str, message: str) -> None:
    write_run(tmp_path)
    with pytest.raises(UserError) as caught:
        quantities([name], compared(), readable(tmp_path), {"transfer": "do this"})
    assert str(caught.value).startswith(f"--metric {name}: {message}")
