"""What counts as a readable result.json, in which words it does not, and what can be asked of one."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnet_cl.records.run_result import KEYS, SCHEMA, RunResult, TooNewError, json_text

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
LEAST: dict[str, Any] = {  # what every version has written
    "status": "finished",
    "config_id": "ab12cd34",
    "benchmark": "smnist",
    "scenario": "cl1",
    "method": "hnet",
    "seed": 1,
    "num_tasks": 2,
    "accuracy_matrix": [[1.0, None], [0.8, 1.0]],
    "data": {"name": "mnist", "checksum": "c0ffee"},
}
TODAY: dict[str, Any] = LEAST | {
    "schema": SCHEMA,
    "error": None,
    "overrides": ["seed=1"],
    "tasks_done": 2,
    "inferred_tasks": None,
    "certified_matrix": [[0.75, None], [0.5, 0.25]],
    "window": [{"task": 1, "iteration": 10, "scores": [0.9]}],
    "metrics": {"acc": 0.9, "bwt": None},
    "iterations": 200,
    "wall_time_s": 10,
    "train_time_s": 9.5,
    "peak_memory_mb": 100.5,
    "memory_bytes": {"method": 3},
    "parameters": {"trainable": 1000, "target": 2000, "compression_ratio": 0.5},
    "data": {"name": "mnist", "source": "files", "checksum": "c0ffee", "fixed": True, "stand_in": False},
    "in_shape": [1, 28, 28],
    "tasks": [{"name": "split 0/1", "classes": ["0", "1"]}, {"name": "split 2/3", "classes": ["2", "3"]}],
    "device": "cpu, 1 threads",
    "versions": {"python": "3.11.7", "torchvision": None},
    "git_commit": None,
    "command": "python -m hnet_cl benchmark=smnist",
    "preset": None,
    "target": "mlp_100",
    "dataset": "mnist",
    "score": "accuracy",
}
ERRORS = ("mse_matrix", "nmse_matrix")  # in place of accuracies, in regression


def parsed(values: dict[str, Any], **changes: Any) -> RunResult:
    return RunResult.parse(json.dumps(values | changes).encode(), Path("outputs", "x"))


def test_what_is_written_is_read_again_exactly_in_the_schemas_order() -> None:
    text = json_text(TODAY)
    assert list(json.loads(text)) == [key for key in KEYS if key not in ERRORS], "TODAY has every key of the schema"
    result = RunResult.parse(text.encode())
    assert result == TODAY and json_text(result) == text
    assert isinstance(result["parameters"]["trainable"], int), "numbers stay of their kind"


def test_it_is_a_mapping_with_attributes() -> None:
    result = parsed(TODAY)
    assert (result.method, result.seed, result.data.name, result.schema_number) == ("hnet", 1, "mnist", SCHEMA)
    assert result["data"]["name"] == result.get("data")["name"] == dict(result)["data"]["name"] == "mnist"
    assert "nothing" not in result and result.get("nothing") is None and len(result) == len(TODAY)
    assert result.folder == Path("outputs", "x")
    assert result.tasks[1].classes == ["2", "3"]
    assert repr(result) == "RunResult(smnist-cl1-hnet, seed 1, finished, 2 of 2 tasks, ACC 0.9)"


@pytest.mark.parametrize(("rows", "shape"), [([[0.25, None]], (1, 2)), ([], (0, 2))])
def test_the_matrix_as_an_array(rows: list[list[float | None]], shape: tuple[int, int]) -> None:
    matrix = parsed(LEAST, status="interrupted", accuracy_matrix=rows).matrix
    assert matrix.shape == shape and matrix.dtype == np.float64
    np.testing.assert_equal(matrix, np.array([[0.25, math.nan]])[: len(rows)])


@pytest.mark.parametrize("rows", [[[0.5, None]], [[0.5, None], [0.5, None]], [[0.5], [0.5, 0.5]]])
def test_certificates_are_as_many_as_accuracies(rows: list[list[float | None]]) -> None:
    with pytest.raises(ValueError, match=r"^certified_matrix: neither|^row 1 of the accuracy matrix needs"):
        parsed(TODAY, certified_matrix=rows)


def test_an_older_result_has_defaults_for_what_came_later() -> None:
    result = parsed(LEAST)
    assert (result.metrics, result.overrides, result.command, result.tasks, result.preset) == ({}, [], "", [], None)
    assert (result.schema_number, result.data.fixed) == (0, None)
    assert result == LEAST, "and the mapping has what was written, no more"


def test_keys_to_come_are_kept() -> None:
    result = parsed(TODAY, keys=3, unheard_of={"_a": 1})
    assert (result["keys"], result["unheard_of"]) == (3, {"_a": 1})
    assert list(json.loads(json_text(result)))[-2:] == ["keys", "unheard_of"]


def test_numbers_that_json_cannot_write_become_null() -> None:
    text = json_text(TODAY | {"accuracy_matrix": [[math.nan, None]], "wall_time_s": math.inf})
    assert json.loads(text)["accuracy_matrix"] == [[None, None]] and json.loads(text)["wall_time_s"] is None


def test_an_unfinished_run_may_have_holes_and_no_rows() -> None:
    parsed(LEAST, status="failed", accuracy_matrix=[[None, None]])
    parsed(LEAST, status="interrupted", accuracy_matrix=[])


def test_a_newer_schema_is_told_from_what_is_not_ours() -> None:
    with pytest.raises(TooNewError, match=rf"^was made by a newer version .* \(schema 99, known up to {SCHEMA}"):
        parsed({"schema": 99})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "done"}, "status: input should be 'running', 'interrupted', 'finished' or 'failed'"),
        ({"num_tasks": 0, "accuracy_matrix": []}, "finished without a task"),
        ({"schema": True}, "schema: input should be a valid integer"),
        ({"method": None}, "method: input should be a valid string"),
        ({"method": "x" * 256}, "method: string should have at most 255 characters"),
        ({"data": {"name": "mnist"}}, "no data.checksum"),
        ({"data": {}, "seed": "1"}, "no data.name, data.checksum"),
        ({"seed": "1"}, "seed: input should be a valid integer"),
        ({"accuracy_matrix": [[1.0, None], [0.8, 1.2]]}, "accuracy_matrix.1.1: "),
        ({"accuracy_matrix": [[1.0, None], [1.0]]}, "accuracy_matrix: not up to 2 rows of 2 tasks each"),
        ({"accuracy_matrix": [[1.0, None]]}, "finished, but accuracy_matrix has 1 of 2 rows"),
        ({"accuracy_matrix": [[1.0, None], [None, 1.0]]}, "row 1 of the accuracy matrix needs an accuracy"),
        ({"inferred_tasks": [[1, 2]]}, "inferred_tasks: not 2 rows of 2 tasks each"),
        ({"inferred_tasks": [[1, -2], [0, 0]]}, "inferred_tasks.0.1: "),
        (
            {"window": [{"task": 0, "iteration": 1, "scores": []}]},
            "window: not one accuracy for each task before task 0",
        ),
        ({"window": [{"task": 2, "iteration": 1, "scores": [1, 1]}]}, "window: not one accuracy for each task before"),
        ({"window": [{"task": 1, "iteration": 1, "scores": [1, 1]}]}, "window: not one accuracy for each task before"),
        ({"window": [{"task": 1, "iteration": 1, "scores": [1.5]}]}, "window: not one accuracy for each task before"),
        ({"window": [{"task": 1, "iteration": 1, "scores": [-1]}]}, "window.0.scores.0: "),
        (
            {"window": [{"task": 1, "iteration": number, "scores": [1]} for number in (2, 1)]},
            "window: not in the order in which tests are made",
        ),
        ({"memory_bytes": {"total": -5}}, "memory_bytes.total: "),
        ({"metrics": {"majority": "much"}}, "metrics.majority."),
        ({"in_shape": [0]}, "in_shape.0: "),
        ({"tasks": [{"name": "a", "classes": []}]}, "tasks.0.classes: "),
    ],
)
def test_each_fault_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        parsed(LEAST, **changes)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"overrides": ["a=1", "b=" + "1" * 2000]}, "overrides.1, of at most 2000 characters"),
        ({"tasks": [{"name": "a", "classes": ["b", "c" * 201]}]}, "tasks.0, of at most 200 characters"),
    ],
)
def test_what_is_too_long_to_be_shown_is_still_read(changes: dict[str, Any], reason: str) -> None:
    result = parsed(LEAST, **changes)
    with pytest.raises(ValueError, match=f"^has a text that is too long to show: {reason}$"):
        result.require_short()
    parsed(LEAST, overrides=["b=" + "1" * 1998]).require_short()


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "\xff", '{"a": "\\ud800"}', "[" * 100_000, "9" * 10_000])
def test_no_json_object(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not (JSON|a JSON object)"):
        RunResult.parse(text.encode("latin-1"))


@given(key=st.sampled_from(sorted(["status", "overrides", "accuracy_matrix", "metrics", "data", "x"])), value=ANYTHING)
def test_no_value_breaks_the_reader(key: str, value: Any) -> None:
    try:
        result = parsed(TODAY, **{key: value})
    except ValueError:
        return
    assert result.status in ("running", "interrupted", "finished", "failed")
    assert json.loads(json_text(result)) == json.loads(json_text(RunResult.parse(json_text(result).encode())))


def test_errors_have_a_matrix_of_their_own_and_may_exceed_one() -> None:
    rest = {key: value for key, value in TODAY.items() if key != "accuracy_matrix"}
    rows = [[0.01, None], [4.5, 0.0]]
    result = parsed(rest, score="mse", mse_matrix=rows, metrics={"mse": 2.255})
    assert result.scores == rows and result["mse_matrix"] == rows and "accuracy_matrix" not in result
    assert result.matrix[1].tolist() == [4.5, 0.0] and "MSE 2.255" in repr(result)
    assert parsed(LEAST).score == "accuracy" and parsed(LEAST).scores == LEAST["accuracy_matrix"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": "nmse"}, "nmse_matrix: field required"),
        ({"score": "mse", "mse_matrix": [[1.0, None], [-0.1, 1.0]]}, "mse_matrix.1.0: input should be greater than or"),
        ({"score": "auc"}, "score: input should be 'accuracy', 'mse' or 'nmse'"),
    ],
)
def test_a_score_needs_its_matrix(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        parsed(TODAY, **changes)
