"""A real process that is killed while old tasks are tested again and again goes on to the same curve."""

import signal
import time
from pathlib import Path

import pytest
from processes import folder_of, in_process, result_of, start
from test_survive import assert_same_run, checkpoints, end, only_run

pytestmark = pytest.mark.slow

ITERATIONS, WINDOW = 50, 40
RUN = (
    *("benchmark=toy", "benchmark.num_tasks=2", "method=hnet", "benchmark.spread=0.6", "device.threads=1"),
    *(f"training.iterations={ITERATIONS}", f"training.eval_window={WINDOW}", "training.eval_every=1"),
    "checkpoint_every=0",  # one after each step, so that a kill finds the run anywhere
)


def iteration_of(name: str) -> int:
    """Iterations of the second task that were done when a checkpoint was made, from its name; 0 before it."""
    return int(name.split("-")[4].partition(".")[0]) if name.startswith("in-task-2-") else 0


def test_killed_in_the_window(tmp_path: Path) -> None:
    whole = folder_of(in_process(*RUN, f"output_dir={tmp_path / 'whole'}"))
    outputs = tmp_path / "killed"
    process, until = start(*RUN, f"output_dir={outputs}"), time.monotonic() + 200
    while not max(map(iteration_of, checkpoints(outputs)), default=0):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.002)
    assert end(process, signal.SIGKILL)[0] == -signal.SIGKILL
    assert result_of(only_run(outputs))["tasks_done"] == 1
    assert iteration_of(checkpoints(outputs)[-1]) < WINDOW
    folder = folder_of(in_process(*RUN, f"output_dir={outputs}"))
    assert_same_run(folder, whole)
    curve = result_of(folder)["window"]
    assert [(point["task"], point["iteration"]) for point in curve] == [(1, n) for n in range(1, WINDOW + 1)]
    assert curve == result_of(whole)["window"]
