"""The console output of a run while it trains."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from hnet_cl.core.plain_text import duration
from hnet_cl.loggers.introduction import say
from hnet_cl.records.logger import Logger
from hnet_cl.records.metrics_table import METRICS
from hnet_cl.records.run_state import RunState

SPEED_OVER_S = 600.0  # a step may take seconds, and the bar changes with each of them
QUIET_S = 5.0  # seconds that a job of a sweep is silent at most, if a task ends


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.speed
        return Text("" if speed is None else f"{speed:.0f} it/s" if speed >= 10 else f"{speed:.2f} it/s")


class _LeftColumn(ProgressColumn):
    """The time that is left for the current task and for the whole run; evaluation is not counted."""

    def render(self, task: Task) -> Text:
        speed, run = task.speed, task.remaining
        if not speed or run is None:
            return Text("")
        current = min(task.fields["current"], run)
        return Text(f"task {_clock(current / speed)}, run {_clock(run / speed)}")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


class _LiveProgress(Progress):
    """A bar that looks up by itself how far the run is, as losses are shown only every `training.log_every` steps."""

    def __init__(self, *columns: ProgressColumn, look: Callable[[], None], **options: Any) -> None:
        self._look = look
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        self._look()
        return super().get_renderables()


class ConsoleLog(Logger):
    """A line for each finished task and, on a terminal, a progress bar over the whole run below them.

    A continued run prints where it continues. When the run ends, the bar stops and the terminal is restored. A run with
    a label is one of several: it prints the line of a task only if it has been silent for some seconds.

    Args:
        console: where to write.
        label: prefix of each line, for several runs that write to the same console.
    """

    def __init__(self, console: Console, label: str = "") -> None:
        super().__init__()
        self._console = console
        self._label = label
        self._said = self._began = time.perf_counter()
        self._state: RunState | None = None
        self._bar = _LiveProgress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TextColumn("{task.percentage:3.0f}%", table_column=Column(no_wrap=True)),
            _RateColumn(table_column=Column(no_wrap=True)),
            _LeftColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[accuracy]}", markup=False, table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[detail]}", markup=False, table_column=Column(ratio=2, no_wrap=True)),
            look=self._look,
            speed_estimate_period=SPEED_OVER_S,
            console=console,
            disable=not console.is_interactive,
            expand=True,
            transient=True,
        )
        self._run = self._bar.add_task("", accuracy="", detail="", current=0)

    def begin_run(self, state: RunState) -> None:
        """Sets up the bar, and prints where a continued run continues."""
        self._state = state
        self._bar.update(self._run, total=state.iterations_in_all, completed=state.iterations_done)
        if state.iterations_done:
            learned, iteration = state.learned, state.iteration
            places = [f"task {learned}"] if learned else []
            whole = state.iterations[learned] if iteration else 0
            places += [f"iteration {iteration} of {whole} of task {learned + 1}"] if iteration else []
            self._print(f"This run continues after {', '.join(places)}.")

    def begin_task(self, state: RunState) -> None:
        """Shows which task is being learned."""
        self._began = time.perf_counter()
        task = f"task {state.task + 1}/{len(state.iterations)}"
        self._show(state, description=f"{self._label} {task}".lstrip())
        self._bar.start()

    def losses(self, state: RunState, losses: Mapping[str, float]) -> None:
        """Shows next to the bar the accuracy on the last training batch, where it is known, and the losses."""
        right = state.training_accuracy
        shown = "" if right is None else f"acc {100 * right:.0f} %"
        detail = "  ".join(f"{name} {value:.3g}" for name, value in losses.items())
        self._show(state, accuracy=shown, detail=detail)

    def end_task(self, state: RunState) -> None:
        """Shows that the task is being evaluated."""
        self._show(state, accuracy="", detail="evaluating")

    def row(self, state: RunState) -> None:
        """Prints what the task has come to: its score, the mean so far, what was forgotten, and how long it took."""
        now = time.perf_counter()
        last = state.learned == len(state.iterations)  # a job's results follow at once
        if not self._label or (now - self._said >= QUIET_S and not last):
            self._print(self._line(state, now - self._began))

    def end_run(self, state: RunState) -> None:
        """Stops the bar, which leaves no trace."""
        if not self._bar.disable:  # before rich 13.8, the end of a bar that was never shown is an empty line
            self._bar.stop()

    def _line(self, state: RunState, took_s: float) -> str:
        score, metrics = state.score, state.metrics
        own, main, loss = state.matrix[-1][state.task], METRICS[score.main], METRICS[score.loss]
        parts = [f"{score.title} {main.in_unit(own)}", f"mean {main.in_unit(metrics[score.main])}"]
        if (lost := metrics.get(score.loss)) is not None:
            parts.append(f"{loss.title} {loss.in_unit(lost)}")
        start, rest = f"task {state.learned}/{len(state.iterations)}", ", ".join([*parts, duration(took_s)])
        line = f"{start} ({state.task_names[state.task]}): {rest}"
        fits = not self._console.is_interactive or len(line) <= self._console.width
        return line if fits else f"{start}: {rest}"

    def _look(self) -> None:
        if self._state is not None and self._state.task < len(self._state.iterations):
            self._show(self._state)

    def _show(self, state: RunState, **fields: str) -> None:
        left = state.iterations[state.task] - state.iteration
        self._bar.update(self._run, completed=state.iterations_done, current=left, **fields)  # type: ignore[arg-type]

    def _print(self, line: str) -> None:
        self._said = time.perf_counter()
        say(line, self._label, self._console, style="")
