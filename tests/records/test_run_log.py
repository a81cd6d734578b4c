"""The log of a run: the state it keeps, the order of loggers, and loggers that a run can do without."""

import itertools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from states import state

from hnet_cl.core.errors import UserError
from hnet_cl.records.logger import Logger
from hnet_cl.records.run_log import RunLog
from hnet_cl.records.run_state import Progress, RunState, Samples


class Notes(Logger):
    """Notes everything that it hears, with what the state says then."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    def note(self, event: str, state: RunState, *more: Any) -> None:
        place = (state.task, state.iteration, state.iterations_done, state.learned)
        self.heard.append((event, *place, state.metrics["acc"], state.metrics["recognised"], state.status, *more))

    def begin_run(self, state: RunState) -> None:
        self.note("begin_run", state)

    def begin_task(self, state: RunState) -> None:
        self.note("begin_task", state)

    def losses(self, state: RunState, losses: Mapping[str, float]) -> None:
        self.note("losses", state, dict(losses))

    def end_task(self, state: RunState) -> None:
        self.note("end_task", state)

    def samples(self, state: RunState, samples: Samples) -> None:
        self.note("samples", state, samples.real)

    def row(self, state: RunState) -> None:
        self.note("row", state)

    def save(self, state: RunState) -> None:
        self.note("save", state)

    def end_run(self, state: RunState) -> None:
        self.note("end_run", state)


class Broken(Notes):
    """Raises an error when it hears of one event."""

    def __init__(self, event: str, error: Exception) -> None:
        super().__init__()
        self._event, self._error = event, error

    def note(self, event: str, state: RunState, *more: Any) -> None:
        super().note(event, state)
        if event == self._event:
            raise self._error


def run(log: RunLog) -> None:
    """The second half of the second task of two, from iteration 6 on."""
    log.begin_run()
    log.begin_task(1, 6)
    log.losses(1, 10, {"loss": 0.5})
    log.end_task(1)
    log.samples(1, None, [0.5, 0.75], 0.9)
    log.row(1, [0.6, 0.8])
    log.save(0)
    log.end_run("finished")
    log.end_run("failed")  # nobody hears of it


HALF = Progress([[0.9, None]], iteration=6, iterations=16)
EXPECTED = [
    ("begin_run", 1, 6, 16, 1, 0.9, None, "running"),
    ("begin_task", 1, 6, 16, 1, 0.9, None, "running"),
    ("losses", 1, 10, 20, 1, 0.9, None, "running", {"loss": 0.5}),
    ("end_task", 1, 10, 20, 1, 0.9, None, "running"),
    ("samples", 1, 10, 20, 1, 0.9, None, "running", 0.9),
    ("row", 1, 0, 20, 2, 0.7, 0.625, "running"),
    ("save", 1, 0, 20, 2, 0.7, 0.625, "running"),
    ("end_run", 1, 0, 20, 2, 0.7, 0.625, "finished"),
]


def test_whatever_their_order_loggers_are_given_the_same_complete_state() -> None:
    for order in itertools.permutations(range(3)):
        notes = [Notes() for _ in order]
        always, first, second = (notes[number] for number in order)
        run(RunLog(state(Path("unused"), progress=HALF), [always], {"a": first, "b": second}))
        assert [note.heard for note in notes] == [EXPECTED] * 3


@pytest.mark.parametrize("event", [line[0] for line in EXPECTED])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "outputs/x: No space left on device"),
        (ValueError("a\nb"), "ValueError: a"),
    ],
)
def test_the_run_goes_on_without_a_logger_that_fails(
    event: str, error: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    good, broken = Notes(), Broken(event, type(error)(*error.args))
    with caplog.at_level(logging.WARNING, "hnet_cl"):
        run(RunLog(state(Path("outputs/x"), progress=HALF), [], {"mine": broken, "good": good}))
    assert good.heard == EXPECTED
    assert [line[0] for line in broken.heard] == [line[0] for line in EXPECTED][: len(broken.heard)]
    assert broken.heard[-1][0] == event, "and it hears no more"
    assert caplog.messages == [f"logger=mine ends here, the run goes on: {said}"]


def test_what_the_user_can_mend_and_what_a_run_needs_are_not_passed_over() -> None:
    with pytest.raises(UserError):
        run(RunLog(state(Path("unused")), [], {"mine": Broken("begin_run", UserError("no account"))}))
    with pytest.raises(OSError, match="full"):
        run(RunLog(state(Path("unused")), [Broken("row", OSError("full"))], {}))
