"""Loggers whose packages hnet_cl does without, against the real packages and without network."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from states import state

from hnet_cl.core.optional import require
from hnet_cl.records.logger import Logger
from hnet_cl.records.run_log import RunLog
from hnet_cl.records.run_state import Progress

MATRIX: list[list[float | None]] = [[0.8, None], [0.6, 0.9]]


def contents(file: bytes) -> Iterator[bytes]:
    """The records in a file of W&B: blocks of 32 KiB hold pieces with checksum, length and kind (whole, first, ...)."""
    position, begun = 7, b""  # behind the file's own header
    while position + 7 <= len(file):
        if (left := -position % 32768) < 7 and left:
            position += left
            continue
        length, kind = struct.unpack_from("<HB", file, position + 4)
        begun += file[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, last
            yield begun
            begun = b""


def records(part: Path) -> list[Any]:
    """The records in a file of W&B, which another process writes: they are whole once the run's exit is among them."""
    from wandb.proto.wandb_internal_pb2 import Record

    for _ in range(100):
        found = [Record.FromString(content) for content in contents(part.read_bytes())]
        if any(record.HasField("exit") for record in found):
            return found
        time.sleep(0.2)
    raise AssertionError(f"{part} has no end")


def learn(folder: Path, logger: Logger, start: int, status: Any) -> None:
    """One of two tasks is learned; then the run ends."""
    progress = Progress(MATRIX[:start], iterations=10 * start)
    log = RunLog(state(folder, progress=progress), [logger], {})
    log.begin_run()
    log.begin_task(start, 0)
    for iteration in (5, 10):
        log.losses(start, iteration, {"loss": 1 / iteration})
    log.end_task(start)
    log.samples(start, None, [0.5] * (start + 1), 0.9)
    log.row(start, MATRIX[start])
    log.end_run(status)


def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wandbless").mkdir()  # a folder is no package
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("no_such_package", "wandbless"):
        with pytest.raises(ValueError, match=rf"^{name} is not installed; pip install 'hnet-cl\[wandb\]'$"):
            require(name, "wandb")
    require("pydantic", "wandb")


class TestMlflow:
    @pytest.mark.slow  # MLflow takes its time to make the tables of a database
    def test_a_run_and_its_continuation_are_one_run(self, tmp_path: Path) -> None:
        pytest.importorskip("mlflow")
        from hnet_cl.loggers.mlflow import MlflowLogger, _quiet

        uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
        settings = MlflowLogger.Settings(uri=uri, experiment="tries")
        learn(tmp_path, MlflowLogger(settings), 0, "interrupted")
        learn(tmp_path, MlflowLogger(settings), 1, "finished")
        learn(tmp_path, MlflowLogger(settings), 0, "failed")  # anew
        with _quiet():
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("tries")
        assert experiment is not None
        anew, run = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
        assert (run.info.status, anew.info.status) == ("FINISHED", "FAILED")
        assert run.info.run_name == "pmnist-cl1-hnet seed=3"
        assert run.data.params["training.lr"] == "0.001" and run.data.params["config_id"] == "ab12cd34"
        assert run.data.tags["data"] == "mnist" and run.data.tags["folder"] == str(tmp_path)

        def points(name: str) -> dict[int, float]:
            return {point.step: point.value for point in client.get_metric_history(run.info.run_id, name)}

        assert points("loss/task") == {5: 0.2, 10: 0.1, 15: 0.2, 20: 0.1}
        assert points("accuracy/mean") == {1: 0.8, 2: pytest.approx(0.75)}
        assert points("accuracy_by_task/02") == {2: 0.9} and points("recognised/real") == {1: 0.9, 2: 0.9}
        assert points("final/acc") == {2: pytest.approx(0.75)} and points("final/forgetting") == {2: pytest.approx(0.2)}


class TestWandb:
    @pytest.mark.slow
    def test_parts_of_a_run_lie_in_its_folder_under_one_id(self, tmp_path: Path) -> None:
        pytest.importorskip("wandb")
        from hnet_cl.loggers.weights_and_biases import WandbLogger

        settings = WandbLogger.Settings(project="tries", entity=None, mode="offline")
        learn(tmp_path, WandbLogger(settings), 0, "interrupted")
        learn(tmp_path, WandbLogger(settings), 1, "finished")
        parts = sorted(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
        assert [part.name for part in parts] == ["run-ab12cd34-3.wandb"] * 2
        logged: list[dict[str, Any]] = []
        settings_shown: dict[str, Any] = {}
        final: dict[str, float] = {}
        for record in (record for part in parts for record in records(part)):
            if record.HasField("run"):
                assert (record.run.run_id, record.run.project) == ("ab12cd34-3", "tries")
                settings_shown |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            if record.HasField("summary"):
                final |= {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.summary.update}
            if record.HasField("history"):
                items = record.history.item
                logged.append({item.key or item.nested_key[0]: json.loads(item.value_json) for item in items})
        assert {row["iteration"]: row["loss/task"] for row in logged if "loss/task" in row} == {
            5: 0.2,
            10: 0.1,
            15: 0.2,
            20: 0.1,
        }
        assert settings_shown["method"] == "hnet" and settings_shown["training.lr"] == 0.001
        assert settings_shown["configuration"]["method"]["widths"] == [100, 100]
        assert (final["final/acc"], final["final/forgetting"]) == (pytest.approx(0.75), pytest.approx(0.2))
        rows = {row["tasks_learned"]: row["accuracy/mean"] for row in logged if "accuracy/mean" in row}
        assert rows == {1: 0.8, 2: pytest.approx(0.75)}
