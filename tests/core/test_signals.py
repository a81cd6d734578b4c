"""Signals at any moment of real processes: one line, the signal's exit code, and nothing half-made."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from processes import folder_of, hnet_cl, result_of

RUN = ("benchmark=toy", "benchmark.num_tasks=2", "training.iterations=20")
LONG = ("benchmark=toy", "training.iterations=1000000", "checkpoint_every=3600")
# What pip makes of the entry point.
SCRIPT = ("-c", "import sys; from hnet_cl.__main__ import main; sys.exit(main())")
LINES = {
    signal.SIGINT: "interrupted by SIGINT",
    signal.SIGTERM: "interrupted by SIGTERM",
    signal.SIGHUP: "interrupted by SIGHUP",
}


def begin(words: Sequence[str], **options: object) -> subprocess.Popen[str]:
    """A Python process that has reached the first line of its program: before it, signals are Python's own affair."""
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    await_handler(process)
    return process


def await_handler(process: subprocess.Popen[str], signum: int = signal.SIGTERM) -> None:
    until = time.monotonic() + 60
    while not handles(process.pid, signum):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.001)


def handles(pid: int, signum: int) -> bool:
    """Whether a process has a handler for a signal; where there is no /proc, after a while."""
    status = Path(f"/proc/{pid}/status")
    if not Path("/proc/self/status").exists():
        time.sleep(1)
        return True
    caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signum - 1) & 1)


def end(process: subprocess.Popen[str], signum: int) -> tuple[int, str]:
    process.send_signal(signum)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def await_path(process: subprocess.Popen[str], folder: Path, pattern: str) -> None:
    until = time.monotonic() + 120
    while not list(folder.rglob(pattern)):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)


def check_end(process: subprocess.Popen[str], signum: signal.Signals, outputs: Path) -> str:
    """The process was ended by its first signal as it should, or had finished before; what it was doing."""
    code, err = end(process, signum)
    if code in (0, -signum):  # by the signal itself: it came when Python was about to end, with all done
        assert err == "" and {result_of(path.parent)["status"] for path in outputs.rglob("result.json")} == {"finished"}
        return "finished"
    assert code == 128 + signum, err
    known = {
        f"hnet_cl: {LINES[signum]} before training began\n": "beginning",
        f"hnet_cl: {LINES[signum]}; the same command continues this run\n": "running",
    }
    assert err in known
    assert not [path for path in outputs.rglob("*") if ".part-" in path.name]
    if known[err] == "running":
        statuses = {result_of(path.parent)["status"] for path in outputs.rglob("result.json")}
        assert statuses and statuses <= {"interrupted", "finished"}
    return known[err]


def until_training(words: Sequence[str], outputs: Path) -> float:
    """Seconds that a command needs until it trains, on this machine at the moment."""
    began = time.monotonic()
    process = begin([*words, f"output_dir={outputs}"])
    await_path(process, outputs, "result.json")
    end(process, signal.SIGKILL)
    return time.monotonic() - began


def kill_often(words: Sequence[str], outputs: Path, kills: int, seed: int, latest: float) -> set[str]:
    """Ends the same command at random moments; what it was doing then."""
    moments, met = random.Random(seed), set()
    for _ in range(kills):
        signum = moments.choice([signal.SIGINT, signal.SIGTERM])
        process = begin([*words, f"output_dir={outputs}"])
        time.sleep(moments.uniform(0, latest))
        met.add(check_end(process, signum, outputs))
    return met


@pytest.mark.slow
def test_signals_in_the_first_seconds(tmp_path: Path) -> None:
    assert "beginning" in kill_often(["-m", "hnet_cl", *LONG], tmp_path, kills=2, seed=4, latest=1.0)
    assert kill_often([*SCRIPT, *LONG], tmp_path, kills=1, seed=1, latest=0.1) == {"beginning"}


@pytest.mark.slow
def test_signals_at_any_time(tmp_path: Path) -> None:
    long = ["-m", "hnet_cl", *LONG]
    latest = 2 * until_training(long, tmp_path / "first")
    assert kill_often(long, tmp_path / "a", 8, seed=1, latest=latest) == {"beginning", "running"}
    assert "beginning" in kill_often([*SCRIPT, *RUN], tmp_path / "b", 4, seed=2, latest=latest)
    folder_of(hnet_cl(*RUN, f"output_dir={tmp_path / 'b'}"))


@pytest.mark.slow
def test_signals_at_any_time_of_a_sweep(tmp_path: Path) -> None:
    sweep = ("-m", "hnet_cl", *LONG, "seed=1,2", "-m")
    latest = 2 * until_training(sweep, tmp_path / "first")
    assert "running" in kill_often(sweep, tmp_path / "a", 4, seed=1, latest=latest)
    assert "running" in kill_often([*sweep, "hydra/launcher=one_process"], tmp_path / "b", 4, seed=2, latest=latest)


@pytest.mark.parametrize("program", ["report", "predict"])
def test_the_other_commands_end_with_one_line(program: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")  # what they read has no end
    words = [str(tmp_path)] if program == "report" else [f"run={tmp_path}", f"input={tmp_path / 'never'}"]
    process = begin(["-m", f"hnet_cl.{program}", *words])
    code, err = end(process, signal.SIGINT)
    assert (code, err) == (130, f"hnet_cl.{program}: interrupted by SIGINT\n")


def test_no_import_is_torn_apart(tmp_path: Path) -> None:
    """A signal that comes in the middle of one takes effect behind it."""
    (tmp_path / "slow.py").write_text(
        "import time\nprint(flush=True)\ntime.sleep(0.7)\nopen('imported', 'w').close()\n"
    )
    (tmp_path / "main.py").write_text(
        "import time\nfrom hnet_cl.core.signals import command\n"
        "with command('x') as own:\n    own.release()\n    import slow\n    time.sleep(30)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = begin(["main.py"], cwd=tmp_path, env=environment)
    assert process.stdout
    process.stdout.readline()
    assert end(process, signal.SIGINT) == (130, "x: interrupted by SIGINT\n")
    assert (tmp_path / "imported").exists()


def test_a_second_signal_ends_a_run_at_once_whatever_it_does(tmp_path: Path) -> None:
    """Here a step that takes for ever outside of Python."""
    endless = "import torch; torch.set_num_threads(1); x = torch.ones(7000, 7000); print(flush=True); x @ x"
    code = f"from hnet_cl.core.signals import command\nwith command('hnet_cl'):\n    {endless}"
    process = begin(["-c", code])
    assert process.stdout
    process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    before = time.monotonic()
    code_, err = end(process, signal.SIGINT)
    assert (code_, err) == (130, "hnet_cl: ended at once by a second signal (SIGINT)\n")
    assert time.monotonic() - before < 2


@pytest.mark.slow
def test_signals_that_the_parent_ignores_stay_ignored(tmp_path: Path) -> None:
    """As of jobs in the background of a shell, and under nohup."""
    ignore = "import signal, os, sys; [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGHUP)]; "
    run = f"os.execv(sys.executable, [sys.executable, '-m', 'hnet_cl', *{list(RUN)}, 'output_dir={tmp_path}'])"
    process = begin(["-c", ignore + run])
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert result_of(Path(out.splitlines()[-1]))["status"] == "finished"


@pytest.mark.slow
def test_a_terminal_that_is_closed_saves(tmp_path: Path) -> None:
    process = begin(["-m", "hnet_cl", *LONG, f"output_dir={tmp_path}"])
    await_path(process, tmp_path, "result.json")
    assert end(process, signal.SIGHUP) == (
        129,
        f"hnet_cl: {LINES[signal.SIGHUP]}; the same command continues this run\n",
    )
    assert list(tmp_path.rglob("in-task-1-*.pt"))


def test_a_package_that_is_not_installed_is_one_line() -> None:
    """As with a Python that has none of them; a module of ours that is missing is a fault."""
    code = "from hnet_cl.core.signals import command\nwith command('hnet_cl'):\n    import {}"
    done, fault = (
        subprocess.run([sys.executable, "-c", code.format(name)], capture_output=True, text=True)
        for name in ("no_such_package.inside", "hnet_cl.no_such_module")
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("hnet_cl: the package no_such_package is not there for ")
    assert "source .venv/bin/activate" in done.stderr
    assert fault.returncode == 1 and "Traceback" in fault.stderr
