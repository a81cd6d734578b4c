"""When checkpoints are made, and how a signal ends a run between two steps."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from builders import blobs, learner, rows_of, training

from hnet_cl.core.errors import Interrupted
from hnet_cl.core.signals import Interruption
from hnet_cl.training import checkpoint_saver as module
from hnet_cl.training.checkpoint_saver import CheckpointSaver
from hnet_cl.training.checkpointing import FOLDER, Checkpoints

ITERATIONS = 15


class Counted(Checkpoints):
    """Checkpoints that write down when they are made."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "abc")
        self.made: list[Any] = []

    def in_task(self, tasks: int, iteration: int, state: Any, progress: Any) -> None:
        super().in_task(tasks, iteration, state, progress)
        self.made.append((tasks, iteration, progress))

    def after_task(self, tasks: int, learner: Any, progress: Any) -> None:
        super().after_task(tasks, learner, progress)
        self.made.append((tasks, progress))


def kept_run(
    store: Checkpoints,
    interval: float,
    pause_at: tuple[int, int] = (-1, -1),
    signum: int = 0,
    others: Sequence[Any] = (),
) -> None:
    """A run of three tasks; a signal arrives before the pause after `pause_at`."""
    benchmark = blobs()
    made = learner("finetune", benchmark)
    with Interruption() as interruption:
        saver = CheckpointSaver(
            store, made, interval, [ITERATIONS] * 3, interruption, lambda iteration: {"iteration": iteration}
        )

        def pause(iteration: int, state: Any) -> None:
            if (made.latest, iteration) == pause_at:
                os.kill(os.getpid(), signum)
            saver.pause(iteration, state)

        for _ in rows_of(made, benchmark.tasks, training(iterations=ITERATIONS), [saver, *others], pause=pause):
            pass


def test_a_long_interval_leaves_the_ends_of_training_and_of_the_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONG", 0.0)
    store = Counted(tmp_path)
    kept_run(store, interval=3600)
    assert store.made == [
        event
        for task in range(3)
        for event in ((task, ITERATIONS, {"iteration": ITERATIONS}), (task + 1, {"iteration": 0}))
    ]


def test_the_end_of_training_is_not_kept_before_a_short_evaluation(tmp_path: Path) -> None:
    """How long the first one takes nobody knows."""
    store = Counted(tmp_path)
    kept_run(store, interval=3600)
    ends = [(1, {"iteration": 0}), (2, {"iteration": 0}), (3, {"iteration": 0})]
    assert store.made == [(0, ITERATIONS, {"iteration": ITERATIONS}), *ends]


@pytest.mark.parametrize(("task", "waits"), [(0, False), (1, True)])
def test_signals_wait_for_the_end_of_a_short_evaluation(tmp_path: Path, task: int, waits: bool) -> None:
    """So that no step is lost whose state was not saved before it."""
    store = Counted(tmp_path)

    class Sender:
        """A log after whose end of training a signal comes."""

        def end_task(self, ended: int) -> None:
            if ended == task:
                os.kill(os.getpid(), signal.SIGTERM)

        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    with pytest.raises(Interrupted):
        kept_run(store, 3600, others=[Sender()])
    place = (task + 1, 1) if waits else (task, ITERATIONS)
    assert store.made[-1] == (*place, {"iteration": place[1]})


def test_an_interval_of_zero_keeps_every_step(tmp_path: Path) -> None:
    store = Counted(tmp_path)
    kept_run(store, interval=0)
    assert [event[1] for event in store.made if len(event) == 3] == 3 * list(range(1, ITERATIONS + 1))


def test_a_signal_saves_the_step_it_met_and_ends_the_run(tmp_path: Path) -> None:
    store = Counted(tmp_path)
    with pytest.raises(Interrupted):
        kept_run(store, 3600, (1, 4), signal.SIGTERM)
    assert store.made[-1] == (1, 4, {"iteration": 4})
    assert any(path.name.startswith("in-task-2-iteration-4.") for path in (tmp_path / FOLDER).iterdir())


def test_a_run_that_its_scheduler_lets_go_on_is_saved_and_goes_on(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGUSR2, lambda *_: None)
    try:
        store = Counted(tmp_path)
        kept_run(store, 3600, (1, 4), signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert (1, 4, {"iteration": 4}) in store.made and store.made[-1] == (3, {"iteration": 0})
