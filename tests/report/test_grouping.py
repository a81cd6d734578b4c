"""Rows and columns: what is put into one cell, what never is, and how rows are named."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_runs import readable, write_config, write_run
from hypothesis import given, settings
from hypothesis import strategies as st

from hnet_cl.report.grouping import Layout, Section, sections
from hnet_cl.report.runs import Run

USUAL = Layout(["method"], ["scenario"])


def seeds(section: Section) -> dict[str, dict[str, list[int]]]:
    """Seeds in each cell, by names of row and column."""
    return {
        row.label: {", ".join(column): [run.result.seed for run in runs] for column, runs in row.cells.items()}
        for row in section.rows
    }


def only(root: Path, layout: Layout = USUAL) -> dict[str, dict[str, list[int]]]:
    (section,) = sections(readable(root), layout)
    return seeds(section)


def test_method_by_scenario(tmp_path: Path) -> None:
    for seed in (10, 9, 2):
        write_run(tmp_path, config="a", seed=seed)
    write_run(tmp_path, config="b", scenario="cl2")
    write_run(tmp_path, config="c", scenario="cl2", method="ewc")
    assert only(tmp_path) == {"ewc": {"cl2": [1]}, "hnet": {"cl1": [2, 9, 10], "cl2": [1]}}


def test_benchmarks_and_data_have_tables_of_their_own(tmp_path: Path) -> None:
    write_run(tmp_path, config="a")
    write_run(tmp_path, config="b", benchmark="pmnist")
    write_run(tmp_path, config="c", data={"name": "mnist (validation)", "checksum": "d"})
    found = sections(readable(tmp_path), USUAL)
    assert [section.title for section in found] == [
        "pmnist, mnist, 2 tasks",
        "smnist, mnist, 2 tasks",
        "smnist, mnist (validation), 2 tasks",
    ]
    assert [seeds(section) for section in found] == [{"hnet": {"cl1": [1]}}] * 3


def test_benchmarks_side_by_side_if_asked_for(tmp_path: Path) -> None:
    write_run(tmp_path, config="a")
    write_run(tmp_path, config="b", benchmark="pmnist")
    assert only(tmp_path, Layout(["method"], ["benchmark"])) == {"hnet": {"pmnist": [1], "smnist": [1]}}


def test_configurations_are_told_apart_by_the_overrides_that_differ(tmp_path: Path) -> None:
    common = ["benchmark=smnist", "training.lr=1", "seed=7", "output_dir=x"]
    write_run(tmp_path, config="a", overrides=common)
    write_run(tmp_path, config="b", overrides=[*common, "method.beta=10", "method=hnet"])
    write_run(tmp_path, config="c", overrides=[*common, "method.beta=9", "+target.width=8", "device.threads=1"])
    assert list(only(tmp_path)) == [
        "hnet",
        "hnet, method.beta=9, +target.width=8, device.threads=1",
        "hnet, method.beta=10",
    ]


def test_an_override_that_only_some_seeds_were_typed_with_does_not_split_a_configuration(tmp_path: Path) -> None:
    write_run(tmp_path, config="a", seed=1, overrides=["method.beta=0.01"])  # the default, typed
    write_run(tmp_path, config="a", seed=2, overrides=[])
    write_run(tmp_path, config="b", seed=1, overrides=["method.beta=1"])
    assert only(tmp_path) == {"hnet": {"cl1": [1, 2]}, "hnet, method.beta=1": {"cl1": [1]}}


def test_where_overrides_do_not_differ_settings_do(tmp_path: Path) -> None:
    write_config(write_run(tmp_path, config="a", seed=1), "training:\n  lr: 0.1\nseed: 1\n")
    write_config(write_run(tmp_path, config="b", seed=1), "training:\n  lr: 0.2\nseed: 2\n")
    assert list(only(tmp_path)) == ["hnet", "hnet, training.lr=0.2"]


def test_or_else_the_id(tmp_path: Path) -> None:
    write_config(write_run(tmp_path, config="aa"), "a: 1\n")
    write_config(write_run(tmp_path, config="bb"), "a: 1\n")
    write_run(tmp_path, config="cc", scenario="cl2")
    assert only(tmp_path) == {"hnet": {"cl2": [1]}, "hnet, config aa": {"cl1": [1]}, "hnet, config bb": {"cl1": [1]}}


def test_or_else_the_data(tmp_path: Path) -> None:
    write_run(tmp_path, seed=1, data={"name": "mnist", "checksum": "d0"})
    write_run(tmp_path, seed=2, data={"name": "mnist", "checksum": "d1"})
    assert only(tmp_path) == {
        "hnet": {"cl1": [1]},
        "hnet, data.checksum=d1": {"cl1": [2]},
    }


def test_many_differing_settings_are_no_name(tmp_path: Path) -> None:
    for config in ("aa", "bb"):
        write_config(write_run(tmp_path, config=config), "".join(f"{key}: {config}\n" for key in "abcd"))
    (section,) = sections(readable(tmp_path), USUAL)
    assert list(seeds(section)) == ["hnet", "hnet, config bb"]
    assert section.remarks == [
        "unless a row says otherwise: a=aa, b=aa, c=aa, d=aa",
        "config bb: a=bb, b=bb, c=bb, d=bb",
    ]


def test_a_name_is_never_given_twice(tmp_path: Path) -> None:
    """One was typed method.beta=1; of two others, typed alike, one has it from elsewhere."""
    write_config(write_run(tmp_path, config="a", overrides=["method.beta=1"]), "x: 1\nmethod:\n  beta: 1\n")
    write_config(write_run(tmp_path, config="b", overrides=[]), "x: 2\nmethod:\n  beta: 1\n")
    write_config(write_run(tmp_path, config="c", overrides=[]), "x: 2\nmethod:\n  beta: 0\n")
    assert list(only(tmp_path)) == ["hnet", "hnet, method.beta=0", "hnet, method.beta=1, x=1"]


def test_ignored_keys_are_averaged_over(tmp_path: Path) -> None:
    write_config(write_run(tmp_path, config="a", seed=1), "device:\n  threads: 2\n")
    threads = write_run(tmp_path, config="b", seed=2, overrides=["device.threads=1"])
    write_config(threads, "device:\n  threads: 1\n")
    assert only(tmp_path, Layout(["method"], ["scenario"], ["device.threads"])) == {"hnet": {"cl1": [1, 2]}}


def test_a_setting_as_rows_never_joins_methods(tmp_path: Path) -> None:
    for config, method, beta in (("a", "hnet", "0.1"), ("b", "hnet", "1e-2"), ("c", "ent", "0.1")):
        write_run(tmp_path, config=config, method=method, overrides=[f"method.beta={beta}"])
    write_run(tmp_path, config="d", method="ewc")
    assert only(tmp_path, Layout(["method.beta"], [])) == {
        "1e-2": {"": [1]},
        "0.1, method=ent": {"": [1]},
        "0.1, method=hnet": {"": [1]},
        "-": {"": [1]},
    }


def test_seeds_as_rows(tmp_path: Path) -> None:
    for seed in (10, 9):
        write_run(tmp_path, seed=seed)
    assert list(only(tmp_path, Layout(["seed"], ["scenario"]))) == ["9", "10"]


FACTS = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["hnet", "ewc"]),
        "scenario": st.sampled_from(["cl1", "cl2"]),
        "config": st.sampled_from(["a", "b", "c"]),
        "overrides": st.lists(st.sampled_from(["x=1", "x=2", "y=1", "seed=4"]), max_size=2),
        "data": st.sampled_from([{"name": "m", "checksum": "1"}, {"name": "m", "checksum": "2"}]),
    }
)


@settings(deadline=None)
@given(st.lists(FACTS, min_size=1, max_size=8), st.sampled_from([["method"], ["x"], ["seed"], []]))
def test_every_run_is_in_one_cell_and_no_cell_has_two_configurations(
    tmp_path_factory: pytest.TempPathFactory, facts: Sequence[dict], rows: list[str]
) -> None:
    root = tmp_path_factory.mktemp("runs")
    for number, changes in enumerate(facts):
        write_run(root / str(number), seed=number, **changes)
    runs = readable(root)
    cells = [
        cell
        for section in sections(runs, Layout(rows, ["scenario"]))
        for row in section.rows
        for cell in row.cells.values()
    ]
    assert Counter(run.folder for cell in cells for run in cell) == Counter(run.folder for run in runs)

    def configuration(run: Run) -> tuple[str, ...]:
        result = run.result
        return (result.method, result.scenario, result.config_id, result.data.checksum)

    assert all(len({configuration(run) for run in cell}) == 1 for cell in cells)
