"""What the machine refuses is one line that names the file, nothing is lost by it, and the same command goes on."""

import errno
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from builders import METHODS, NEED_THE_TASK, run
from faults import Fault, Operation
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from processes import folder_of, hnet_cl, result_of
from test_survive import assert_same_run

from hnet_cl.config.conf_files import conf_dir
from hnet_cl.config.messages import explain
from hnet_cl.core.atomic_files import naming, refusal, replace_file, write_atomically
from hnet_cl.core.errors import BusyError
from hnet_cl.core.locking import MARKER, locked
from hnet_cl.loggers import pictures

# TensorBoard's writing thread, in this process alone, where its traceback is pytest's
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

CODES = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.EACCES)
OPERATIONS: tuple[Operation, ...] = ("write", "fsync", "rename", "flock")
RUN = ("benchmark=toy", "benchmark.num_tasks=2", "training.iterations=3", "training.log_every=1", "checkpoint_every=0")


@cache
def _composed(*overrides: str) -> Any:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose("config", [*RUN, *overrides]), resolve=True)


def config(method: str) -> dict[str, Any]:
    scenario = "cl1" if method in NEED_THE_TASK or method in ("hnet", "finetune", "joint", "ewc", "si") else "cl3"
    return deepcopy(_composed(f"method={method}", f"scenario={scenario}"))


@pytest.fixture(scope="module", autouse=True)
def plain_pictures() -> Iterator[None]:
    """What is drawn does not matter here, only that it is written, and drawing takes half of the time of such a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "score_heatmap", lambda *_: Figure((1, 1)))
        patch.setattr(pictures, "inference_heatmap", lambda *_: Figure((1, 1)))
        yield


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a run of a method that nothing befell, and how many operations of each kind it took."""

    @cache
    def of(method: str) -> tuple[Path, dict[Operation, int]]:
        folder = tmp_path_factory.mktemp(method) / "run"
        folder.mkdir()
        faults = [Fault(operation, 0, 0, str(folder)) for operation in OPERATIONS]
        with ExitStack() as stack:
            for fault in faults:
                stack.enter_context(fault.injected())
            run(config(method), folder, [])
        return folder, {fault.operation: fault.count for fault in faults}

    return of


@pytest.fixture
def straight(counted: Any) -> Any:
    return lambda method: counted(method)[0]


def survives(method: str, fault: Fault, folder: Path, expected: Path) -> str | None:
    """The line with which a run ends by a fault, None if it does not; then the same run is finished all the same."""
    folder.mkdir()
    line = None
    with fault.injected():
        try:
            run(config(method), folder, [])
        except OSError as error:
            line = explain(error, [])
            assert "\n" not in line and str(folder) in line and os.strerror(fault.code) in line
    assert not list(folder.rglob(".*.part-*")), "temporary files"
    if line:
        result = folder / "result.json"
        assert not result.exists() or json.loads(result.read_text())["status"] in ("failed", "running")
        run(config(method), folder, [])
    assert_same_run(folder, expected)
    return line


@pytest.mark.parametrize("operation", ["write", "fsync", "rename"])
@pytest.mark.parametrize("name", ["result.json", "metrics.csv", "accuracy_matrix.csv", "checkpoint"])
@pytest.mark.slow
def test_the_file_is_named_and_the_same_command_goes_on(
    name: str, operation: Operation, straight: Any, tmp_path: Path
) -> None:
    number = 1 if (name, operation) == ("metrics.csv", "rename") else 2  # it is written whole only once
    code = CODES[len(name + operation) % len(CODES)]
    part = name.partition(".")[0]  # temporary files are called alike
    line = survives("finetune", Fault(operation, number, code, part), tmp_path / "run", straight("finetune"))
    assert line is not None and part in line.partition(": ")[0] and ".part-" not in line


@pytest.mark.parametrize(("number", "ends"), [(1, True), (2, False)], ids=["taken", "given back"])
def test_only_a_lock_that_cannot_be_had_matters(number: int, ends: bool, straight: Any, tmp_path: Path) -> None:
    fault = Fault("flock", number, errno.EIO, str(tmp_path))
    line = survives("finetune", fault, tmp_path / "run", straight("finetune"))
    assert (line is not None) == ends and (not line or line.startswith(f"{tmp_path / 'run' / '.lock'}: Input/output"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_run_goes_on_without_tensorboard(
    code: int, straight: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    fault = Fault("write", 1, code, "events.out", lasting=True)
    assert survives("finetune", fault, tmp_path / "run", straight("finetune")) is None
    (warning,) = caplog.messages
    assert warning.startswith("logger=tensorboard ends here, the run goes on: ")
    assert warning.endswith(f"events.out.tfevents: {os.strerror(code)}")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(("code", "remedy"), [(errno.ENOSPC, "make room there"), (errno.EIO, "the disk or network")])
def test_every_line_has_a_remedy(code: int, remedy: str) -> None:
    assert refusal(OSError(code, "No", "/a/file")).startswith(f"/a/file: No; {remedy}")


def test_both_names_of_a_renaming_are_in_the_line() -> None:
    assert refusal(OSError(errno.EXDEV, "Cross-device", "/a", None, "/b\n")).startswith("/a -> /b\\n: Cross-device; ")
    assert refusal(OSError("no number")).startswith("no number; ")
    assert refusal(OSError()).startswith("OSError; ")


def test_a_name_is_given_only_where_there_is_none(tmp_path: Path) -> None:
    for given, expected in ((None, str(tmp_path)), ("/other", "/other")):
        with pytest.raises(OSError) as caught, naming(tmp_path):
            raise OSError(errno.EIO, "broken", given)
        assert caught.value.filename == expected


@pytest.mark.parametrize("operation", ["write", "fsync", "rename"])
def test_a_file_that_cannot_be_replaced_stays_as_it_was(operation: Operation, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, "before")
    with pytest.raises(OSError) as caught, Fault(operation, 1, errno.ENOSPC, str(tmp_path)).injected():
        write_atomically(path, "after")
    assert caught.value.filename == str(path) and caught.value.filename2 is None
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_an_error_is_not_hidden_by_what_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", broken)
    with pytest.raises(ValueError, match="of the writer"), replace_file(tmp_path / "file.txt"):
        raise ValueError("of the writer")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_files_cannot_be_locked_the_file_itself_is_the_lock(
    code: int, straight: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fault = Fault("flock", 1, code, str(tmp_path), lasting=True)
    assert survives("finetune", fault, tmp_path / "run", straight("finetune")) is None
    (warning,) = caplog.messages
    assert warning.startswith(f"{tmp_path / 'run' / '.lock'}: files cannot be locked here ({os.strerror(code)}); ")
    assert not (tmp_path / "run" / MARKER).exists()


@pytest.fixture
def no_locks(tmp_path: Path) -> Iterator[None]:
    logging.disable()
    with Fault("flock", 1, errno.ENOLCK, str(tmp_path), lasting=True).injected():
        yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
def test_such_a_lock_keeps_others_out_while_its_process_lives(tmp_path: Path, no_locks: None) -> None:
    code = (
        "import sys, filelock; lock = filelock.SoftFileLock(sys.argv[1]); lock.acquire(); print('has it', flush=True)"
    )
    code += "; input()"
    path = tmp_path / MARKER
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout and other.stdout.readline() == "has it\n"
        with pytest.raises(BusyError) as caught, locked(tmp_path / ".lock"):
            pass
    finally:
        other.kill()
        other.communicate()
    assert str(caught.value).startswith(f"{tmp_path}: another process is working on this run; wait for it, or end it. ")
    assert str(caught.value).endswith(f"remove {path}")
    assert path.exists()
    with locked(tmp_path / ".lock"):  # its process is gone
        assert str(os.getpid()) in path.read_text()
    assert not path.exists()


def test_a_damaged_marker_is_no_lock(tmp_path: Path, no_locks: None) -> None:
    (tmp_path / MARKER).write_text("nonsense")
    with locked(tmp_path / ".lock"):
        assert str(os.getpid()) in (tmp_path / MARKER).read_text()


@pytest.mark.slow
def test_a_full_disk_in_a_process_of_its_own(straight: Any, tmp_path: Path) -> None:
    arguments = (*RUN, "method=finetune", f"hydra.run.dir={tmp_path / 'run'}", "device.threads=1")
    fault = Fault("fsync", 10, errno.ENOSPC, str(tmp_path / "run"), lasting=True)
    failed = hnet_cl(*arguments, **fault.environment(tmp_path / "site"))
    assert failed.returncode == 2 and failed.stderr.startswith(f"hnet_cl: {tmp_path / 'run'}")
    assert failed.stderr.count("\n") == 1 and "No space left on device; make room there" in failed.stderr
    folder = folder_of(hnet_cl(*arguments))
    assert (result_of(folder)["status"], result_of(folder)["tasks_done"]) == ("finished", 2)
    assert (folder / "metrics.csv").read_bytes() == (straight("finetune") / "metrics.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("half", [0, 1])
def test_whichever_operation_fails_nothing_is_lost(half: int, method: str, counted: Any, tmp_path: Path) -> None:
    """Two operations of two kinds for each method, so that all methods together meet all operations of a run."""
    (expected, counts), turn = counted(method), [*METHODS].index(method)
    operation = OPERATIONS[turn % 2 + 2 * half]
    for place in (turn // 2, turn // 2 + counts[operation] // 2):
        number = place % counts[operation] + 1
        fault = Fault(operation, number, CODES[number % len(CODES)], str(tmp_path), lasting=number % 2 == 0)
        line = survives(method, fault, tmp_path / f"run{number}", expected)
        without = operation == "flock" or all("events.out" in name for name in fault.failed)
        assert fault.failed and (line or without)  # a run goes on without TensorBoard, and once its lock is given back
