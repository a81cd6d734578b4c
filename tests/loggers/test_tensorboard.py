"""What TensorBoard reads back from a run folder."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from states import state
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from hnet_cl.loggers.events import cut_back
from hnet_cl.loggers.hparams import hparams
from hnet_cl.loggers.tensorboard import TensorBoardLogger
from hnet_cl.records.run_log import RunLog
from hnet_cl.records.run_state import Progress

MATRIX: list[list[float | None]] = [[0.8, None], [0.6, 0.9]]


def open_log(folder: Path, done: int = 0, iteration: int = 0) -> RunLog:
    log = RunLog(state(folder, progress=Progress(MATRIX[:done], iteration=iteration)), [TensorBoardLogger()], {})
    log.begin_run()
    return log


def close(log: RunLog) -> None:
    log.end_run("interrupted")


def learn(log: RunLog, task: int, first: int = 0, last: int = 10, loss: float = 1.0) -> None:
    log.begin_task(task, first)
    for iteration in range(first + 5, last + 1, 5):
        log.losses(task, iteration, {"loss": loss})
    if last == 10:
        log.end_task(task)
        log.row(task, MATRIX[task])


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()


def points(events: EventAccumulator, tag: str) -> dict[int, float]:
    return {event.step: pytest.approx(event.value) for event in events.Scalars(tag)}


def test_curves_pictures_and_hparams(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    learn(log, 0)
    log.picture("accuracy_matrix", np.full((4, 5, 3), 7, np.uint8))
    learn(log, 1, loss=0.5)
    log.end_run("finished")
    events = read(tmp_path)
    assert points(events, "loss/task") == {5: 1.0, 10: 1.0, 15: 0.5, 20: 0.5}
    assert points(events, "accuracy_by_task/01") == {1: 0.8, 2: 0.6}
    assert points(events, "accuracy_by_task/02") == {2: 0.9}
    assert points(events, "accuracy/mean") == {1: 0.8, 2: 0.75}
    assert points(events, "metric/during") == {1: 0.8, 2: 0.85}
    assert points(events, "metric/bwt") == {2: -0.2}
    assert [(image.step, image.height, image.width) for image in events.Images("accuracy_matrix")] == [(1, 4, 5)]
    assert points(events, "final/acc") == {2: 0.75} and points(events, "final/forgetting") == {2: 0.2}
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []  # one run, not a second for hparams

    content = events.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    hparams = metadata.parse_session_start_info_plugin_data(content).hparams
    assert hparams["method"].string_value == "hnet" and hparams["method.widths"].string_value == "[100, 100]"
    assert hparams["seed"].number_value == 3 and hparams["training.lr"].number_value == 0.001
    assert hparams["method.lookahead"].bool_value is True and "method.strength" not in hparams
    assert points(events, "forgetting") == {2: 0.2}
    assert events.Scalars("time/wall_s")[0].value >= events.Scalars("time/train_s")[0].value >= 0


def test_hparams_open_with_what_is_compared_first_and_no_key_hides_another(tmp_path: Path) -> None:
    training = {"lr": 0.1, "iterations": 7, "betas": [0.9, 0.999], "log_every": 100, "eval_batch_size": 50}
    method = {"name": "si", "_target_": "a.SI", "lr": 0.5, "strength": 2.0, "hypernet": {"lr": 3}}
    optimizer = {"_target_": "torch.optim.SGD", "momentum": 0.9}
    found = hparams(state(tmp_path, config={"training": training, "method": method, "optimizer": optimizer}))
    first = ["method", "scenario", "seed", "target", "training.lr", "method.strength"]
    assert list(found)[:6] == first
    assert [found[key] for key in first] == ["hnet", "cl1", 3, "mlp_1000", 0.1, 2.0]
    others = {"benchmark": "pmnist", "dataset": "mnist", "optimizer": "SGD", "lr_scheduler": "none"}
    settings = {"method.lr": 0.5, "method.hypernet.lr": 3, "training.iterations": 7, "optimizer.momentum": 0.9}
    assert {key: value for key, value in found.items() if key not in first} == others | settings


def test_the_table_of_runs_has_the_same_first_columns_whichever_run_tensorboard_takes_them_from(tmp_path: Path) -> None:
    log = open_log(tmp_path)  # its method has no strength, and after one task nothing is forgotten
    learn(log, 0)
    log.end_run("finished")
    events = read(tmp_path)
    content = events.summary_metadata[metadata.EXPERIMENT_TAG].plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(content)
    columns = {info.name: info for info in experiment.hparam_infos}
    first = ["method", "scenario", "seed", "target", "training.lr", "method.strength"]
    assert [name for name, info in columns.items() if info.differs] == first == [*columns][:6]
    kinds = {"method": api_pb2.DATA_TYPE_STRING, "seed": api_pb2.DATA_TYPE_FLOAT64}
    kinds |= {"method.strength": api_pb2.DATA_TYPE_FLOAT64, "method.lookahead": api_pb2.DATA_TYPE_BOOL}
    assert {name: columns[name].type for name in kinds} == kinds
    assert [*columns["method.lookahead"].domain_discrete] == [False, True]
    scores = [info.name.tag for info in experiment.metric_infos]
    assert scores[:4] == ["final/acc", "final/forgetting", "final/memory", "final/during"]
    assert "final/forgetting" not in events.Tags()["scalars"] and points(events, "final/acc") == {1: 0.8}


def test_what_a_run_is_stands_in_the_text_tab_once(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    learn(log, 0)
    close(log)
    close(open_log(tmp_path, done=1))
    events = read(tmp_path)
    (command,) = events.Tensors("run/command/text_summary")
    assert command.tensor_proto.string_val == [b"    python -m hnet_cl seed=3"]
    (sizes,) = events.Tensors("run/sizes/text_summary")
    assert sizes.tensor_proto.string_val == [b"    trainable: 10\n    target: 20\n    compression_ratio: 0.5"]
    (configuration,) = events.Tensors("run/configuration/text_summary")
    assert b"\n    method.widths: [100, 100]\n" in configuration.tensor_proto.string_val[0]
    assert {"run/data/text_summary", "run/preset/text_summary"} <= {*events.Tags()["tensors"]}


def test_a_continued_run_has_no_step_twice(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    learn(log, 0)
    learn(log, 1, loss=9.0)
    close(log)
    again = open_log(tmp_path, done=1, iteration=5)
    learn(again, 1, first=5, loss=0.5)
    close(again)
    events = read(tmp_path)
    steps = [event.step for event in events.Scalars("loss/task")]
    assert sorted(steps) == [5, 10, 15, 20]  # files of one second and process are read in the order of their names
    assert points(events, "loss/task") == {5: 1.0, 10: 1.0, 15: 9.0, 20: 0.5}
    assert points(events, "accuracy/mean") == {1: 0.8, 2: 0.75}


def event_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("events.out.tfevents.*"))


def test_ten_interruptions_leave_two_files_and_whole_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part goes beyond the checkpoint that the next one continues from, in its losses and in its row."""
    (tmp_path / "events.csv").write_text("mine")
    now, late = time.time, 0
    monkeypatch.setattr(time, "time", lambda: now() + late)
    for done in range(10):
        late += 60  # names of files have the second in which they were made
        log = open_log(tmp_path, iteration=done)
        log.begin_task(0, done)
        for iteration in range(done + 1, min(done + 4, 11)):
            log.losses(0, iteration, {"loss": float(done)})
        log.row(0, MATRIX[0])
        log.end_run("finished" if done == 9 else "interrupted")
        assert len(event_files(tmp_path)) <= 2
    late += 60
    log = open_log(tmp_path, done=1)
    learn(log, 1, loss=0.5)
    log.end_run("finished")
    assert len(event_files(tmp_path)) == 2  # what was, and what came since
    events = read(tmp_path)
    losses = [(event.step, event.value) for event in events.Scalars("loss/task")]
    assert losses == [*((step, float(step - 1)) for step in range(1, 11)), (15, 0.5), (20, 0.5)]
    assert [event.step for event in events.Scalars("accuracy/mean")] == [1, 2]
    assert [event.step for event in events.Scalars("final/acc")] == [2]
    assert (tmp_path / "events.csv").read_text() == "mine"


def test_a_run_that_was_killed_while_it_ended_keeps_its_curves(tmp_path: Path) -> None:
    """Its last checkpoint is after its last task, so nothing is left to train."""
    log = open_log(tmp_path)
    learn(log, 0)
    learn(log, 1)
    log.end_run("finished")
    again = open_log(tmp_path, done=2)
    again.end_run("finished")
    events = read(tmp_path)
    assert [event.step for event in events.Scalars("loss/task")] == [5, 10, 15, 20]
    assert [event.step for event in events.Scalars("final/acc")] == [2]


def test_a_kill_in_the_middle_of_putting_files_together_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first in (0, 5):
        log = open_log(tmp_path, iteration=first)
        learn(log, 0, first=first, last=first + 5)
        close(log)
    before = len(event_files(tmp_path))

    class Killed(BaseException):
        pass

    def kill(path: Path, missing_ok: bool = False) -> None:
        raise Killed

    for name in ("replace", "unlink"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, kill)
            with pytest.raises(Killed):
                cut_back(tmp_path, 10, 0)
        assert len(event_files(tmp_path)) >= before
    cut_back(tmp_path, 10, 0)
    assert len(event_files(tmp_path)) == 1
    assert points(read(tmp_path), "loss/task") == {5: 1.0, 10: 1.0}
    assert len(read(tmp_path).Scalars("loss/task")) == 2


@pytest.mark.parametrize("rubbish", [b"\x05", b"\xff" * 40, b"\x04" + 15 * b"\x00" + b"\xff" * 40])
def test_a_file_that_was_cut_short_or_damaged_is_read_up_to_there(tmp_path: Path, rubbish: bytes) -> None:
    log = open_log(tmp_path)
    learn(log, 0)
    close(log)
    (file,) = event_files(tmp_path)
    file.write_bytes(file.read_bytes() + rubbish)
    cut_back(tmp_path, 10, 1)
    assert points(read(tmp_path), "loss/task") == {5: 1.0, 10: 1.0}
    assert points(read(tmp_path), "accuracy/mean") == {1: 0.8}


def test_a_run_that_starts_anew_has_no_old_events(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    learn(log, 0, last=5)
    close(log)
    again = open_log(tmp_path)
    learn(again, 0, loss=0.5)
    close(again)
    assert len(event_files(tmp_path)) == 1
    assert points(read(tmp_path), "loss/task") == {5: 0.5, 10: 0.5}


def test_recognised_samples_are_a_curve_for_each_task(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    pictures = np.zeros((2, 16, 1, 4, 4))
    for task, (made, recognised, real) in enumerate([(pictures[:1], [0.9], 0.95), (None, [0.7, 0.8], 0.9)]):
        log.begin_task(task, 0)
        log.samples(task, made, recognised, real)
        log.row(task, MATRIX[task])
    close(log)
    events = read(tmp_path)
    assert points(events, "recognised/01") == {1: 0.9, 2: 0.7} and points(events, "recognised/02") == {2: 0.8}
    assert points(events, "recognised/real") == {1: 0.95, 2: 0.9}
    assert points(events, "metric/recognised") == {1: 0.9, 2: 0.75}


def test_torch_is_imported_only_when_a_run_begins() -> None:
    code = "import sys, hnet_cl.loggers.tensorboard as t; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_old_tasks_have_curves_over_iterations_that_are_cut_back(tmp_path: Path) -> None:
    log = open_log(tmp_path, done=1)
    log.begin_task(1, 0)
    for iteration, score in ((2, 0.5), (4, 0.25), (6, 0.125)):
        log.window(1, iteration, [score], 0.0)
    close(log)
    again = open_log(tmp_path, done=1, iteration=5)
    again.begin_task(1, 5)
    again.window(1, 6, [0.75], 0.0)
    close(again)
    curve = {12: 0.5, 14: 0.25, 16: 0.75}  # after the ten iterations of the first task
    assert points(read(tmp_path), "old_tasks/01") == points(read(tmp_path), "old_tasks/mean") == curve
