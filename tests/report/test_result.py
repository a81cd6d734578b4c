"""What counts as a readable result.json, and in which words it does not."""

import json
from pathlib import Path
from typing import Any

import pytest
from fake_runs import square, write_run
from hypothesis import given, settings
from hypothesis import strategies as st

from hnet_cl.records.run_folder import SCHEMA
from hnet_cl.report.result import parse

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def content(root: Path, **changes: Any) -> bytes:
    return (write_run(root, **changes) / "result.json").read_bytes()


def test_what_a_recorder_writes_is_readable(tmp_path: Path) -> None:
    result, facts = parse(content(tmp_path))
    assert (result.method, result.seed, result.data.name) == ("hnet", 1, "mnist")
    assert facts["parameters.trainable"] == 1000 and facts["data.checksum"] == "c0ffee"


def test_an_unfinished_run_may_have_holes_and_no_rows(tmp_path: Path) -> None:
    parse(content(tmp_path, status="failed", accuracy_matrix=[[None, None]]))
    parse(content(tmp_path, config="b", status="interrupted", accuracy_matrix=[]))


def test_an_older_result_may_lack_what_came_later_or_is_not_computed_with(tmp_path: Path) -> None:
    result, _ = parse(content(tmp_path, metrics=None, overrides=None, command=None, versions=None, schema=None))
    assert (result.metrics, result.overrides, result.command, result.status) == ({}, [], "", "finished")


def test_the_present_schema_is_known_and_so_are_keys_to_come(tmp_path: Path) -> None:
    _, facts = parse(content(tmp_path, schema=SCHEMA, target="mlp", dataset="mnist", memory_bytes={"method": 3}))
    assert (facts["schema"], facts["memory_bytes.method"]) == (SCHEMA, 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "done"}, "status: input should be 'running', 'interrupted', 'finished' or 'failed'"),
        ({"status": "finished", "num_tasks": 0, "accuracy_matrix": []}, "finished without a task"),
        ({"schema": SCHEMA + 1}, f"made by a newer version of hnet_cl (schema {SCHEMA + 1}, known are up to {SCHEMA})"),
        ({"schema": True}, "schema: not a whole number"),
        ({"method": None}, "method: field required"),
        ({"data": {"name": "mnist"}}, "data.checksum: field required"),
        ({"seed": "1"}, "seed: input should be a valid integer"),
        ({"accuracy_matrix": square(0.8, 1.2)}, "accuracy_matrix.1.1: "),
        ({"accuracy_matrix": [[1.0, None], [1.0]]}, "accuracy_matrix: not up to 2 rows of 2 tasks each"),
        ({"accuracy_matrix": [[1.0, None]]}, "finished, but accuracy_matrix has 1 of 2 rows"),
        ({"accuracy_matrix": [[1.0, None], [None, 1.0]]}, "row 1 of the accuracy matrix needs an accuracy"),
        ({"inferred_tasks": [[1, 2]]}, "inferred_tasks: not 2 rows of 2 tasks each"),
        ({"inferred_tasks": [[1, -2], [0, 0]]}, "inferred_tasks.0.1: "),
        ({"metrics": {"majority": "much"}}, "metrics.majority: "),
    ],
)
def test_each_fault_is_named(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(content(tmp_path, **changes))
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "\xff", '{"a": "\\ud800"}', "[" * 100_000, "9" * 10_000])
def test_no_json_object(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not (JSON|a JSON object)"):
        parse(text.encode("latin-1"))


@settings(deadline=None)  # it writes files
@given(key=st.sampled_from(sorted(["status", "overrides", "accuracy_matrix", "metrics", "data", "x"])), value=ANYTHING)
def test_no_value_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, key: str, value: Any) -> None:
    raw = json.loads(content(tmp_path_factory.mktemp("run")))
    try:
        result, _ = parse(json.dumps(raw | {key: value}).encode())
    except ValueError:
        return
    assert result.status in ("running", "interrupted", "finished", "failed")
