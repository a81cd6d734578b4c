"""One run, from configuration to a finished run folder."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from hnet_cl import build
from hnet_cl.benchmarks.base import Benchmark, independent_examples
from hnet_cl.benchmarks.overview import overview
from hnet_cl.config.check import Plan, check
from hnet_cl.config.check_processes import check_processes
from hnet_cl.config.without_effect import without_effect
from hnet_cl.core import processes
from hnet_cl.core.atomic_files import remove_parts
from hnet_cl.core.capacity import naming_lack_of_memory
from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import UserError
from hnet_cl.core.locking import locked
from hnet_cl.core.ranks import Ranks, join
from hnet_cl.core.scores import ACCURACY
from hnet_cl.extending import first_of, origin
from hnet_cl.loggers.introduction import print_introduction, say_what_is_done
from hnet_cl.loggers.run_summary import show
from hnet_cl.methods.base import Learner
from hnet_cl.recording import Request, RunContext, build_log, describe, ended
from hnet_cl.records.metrics import BenchmarkFacts
from hnet_cl.records.recorder import RunRecorder
from hnet_cl.records.run_folder import (
    LOCKS,
    SETUP,
    clear,
    earlier_result,
    finished_result,
    on_stand_in,
    read_result,
    settled,
    write_setup,
)
from hnet_cl.records.run_result import RunResult
from hnet_cl.records.run_state import Progress, RunState
from hnet_cl.training.checkpoint_saver import CheckpointSaver
from hnet_cl.training.checkpointing import FOLDER, Checkpoints, Restored, owner
from hnet_cl.training.rehearsal import rehearsed
from hnet_cl.training.trainer import train

CooperativeRun = Generator[None, None, RunResult]
UNSHARED = "{}: the processes find different files there; give output_dir a folder that all of their machines share"


def exhaust(turns: Generator[None, None, Any]) -> Any:
    """Runs a generator to its end and returns its return value."""
    while True:
        try:
            next(turns)
        except StopIteration as end:
            return end.value


@naming_lack_of_memory
def run_cooperatively(config: Mapping[str, Any], folder: Path, request: Request, context: RunContext) -> CooperativeRun:
    """Trains what `config` (resolved) asks for, writes the run folder and prints the results and the folder.

    It yields every few training steps, so that several runs in one process can take turns, and returns the contents of
    result.json. A finished run is only shown again; an interrupted one continues from its last checkpoint. From the
    first step on, an error is recorded in result.json before it is raised.

    Raises:
        UserError: a mistake that the user can mend.
        Interrupted: a signal asked the run to end; during training, it is saved first.
    """
    plan, place = check(config), processes.place()
    check_processes(plan, place)
    if place.size > 1 and context.label:
        raise UserError(processes.NO_SWEEP)
    device = torch.device(plan.device.type)
    ranks = join(place, device, plan.training.batch_size, lambda: context.interruption.pending)
    if ranks is None:
        return (yield from _lead(plan, config, folder, request, context, ranks))
    with ranks.failing_together():
        if ranks.writes:
            return (yield from _lead(plan, config, folder, request, context, ranks))
        return (yield from follow(plan, config, folder, context, ranks))


def _lead(
    plan: Plan, config: Mapping[str, Any], folder: Path, request: Request, context: RunContext, ranks: Ranks | None
) -> CooperativeRun:
    """Makes a run in the process that writes: the only one, or the first of several."""

    def finished() -> RunResult | None:
        done = finished_result(folder, config)
        with context.interruption.interruptible():  # data may have to be downloaded
            return None if done is None or _on_other_data(done, plan, config, folder) else done

    done = finished()
    if done is None:
        with alone(folder):
            done = finished()  # perhaps by another process in the meantime
            if done is None:
                done = yield from execute(plan, config, folder, request, context, ranks)
                show(done, folder, config, context.label, context.console)
                return done
    meet(ranks, False)
    show(done, folder, config, context.label, context.console, again=True)
    return done


def follow(plan: Plan, config: Mapping[str, Any], folder: Path, context: RunContext, ranks: Ranks) -> CooperativeRun:
    """Makes a run in a process that writes nothing; yields and returns as `run_cooperatively`.

    Raises:
        UserError, Interrupted: as `run_cooperatively`.
    """
    if meet(ranks):  # the first process has read the data, and so written what caches there are
        device = build.build_device(plan.device)
        benchmark = build.build_benchmark(plan, Path(config["data_dir"]), device)
        learner = build_rehearsed(plan, benchmark, device, ranks)
        checkpoints = checkpoints_of(folder, config, benchmark, ranks)
        restored = restore(checkpoints, learner, Console(quiet=True), ranks)
        restored, _ = first_of(restored, plan, config, benchmark, learner)
        iterations = [plan.training.steps(task) for task in benchmark.tasks]
        nothing: dict[str, Any] = {}
        saver = CheckpointSaver(
            checkpoints, learner, config["checkpoint_every"], iterations, context.interruption, lambda _: nothing, ranks
        )
        for _ in train(learner, benchmark.tasks, plan.training, [saver], restored.start, saver.pause):
            yield
        meet(ranks)  # the result is written
    result = read_result(folder)
    if result is None:
        raise UserError(UNSHARED.format(folder))
    return result


def _on_other_data(done: RunResult, plan: Plan, config: Mapping[str, Any], folder: Path) -> bool:
    """Tells whether to train a finished run again, since the real data are available now instead of their stand-in.

    Raises:
        UserError: it was trained on real data that have changed since.
    """
    if settled(done):
        return False
    try:
        now = build.build_benchmark(plan, Path(config["data_dir"]), torch.device("cpu")).data
    except (UserError, OSError):  # the data are no longer available
        return False
    before = done.data
    if now.stand_in or (now.name, now.checksum) == (before.name, before.checksum):
        return False
    if not on_stand_in(done):
        raise UserError(
            f"{folder}: this run is finished, on other data ({before.name} {before.checksum}) than there are now "
            f"({now.name} {now.checksum}); fresh=true runs it on these"
        )
    return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Locks the run folder for this process while inside, and removes files that a killed process left half-written.

    The lock ends with the process, even if that is killed.

    Raises:
        BusyError: another process has the lock.
    """
    with locked(folder / LOCKS[0]):
        for place in (folder, folder / FOLDER, folder / SETUP):
            remove_parts(place)
        yield


def execute(
    plan: Plan, config: Mapping[str, Any], folder: Path, request: Request, context: RunContext, ranks: Ranks | None
) -> CooperativeRun:
    """Builds the run, trains and records it; yields as `run_cooperatively` and returns the contents of result.json.

    Raises:
        UserError, Interrupted: as `run_cooperatively`.
    """
    console, interruption, device = context.console, context.interruption, build.build_device(plan.device)
    say_what_is_done(f"Reading the data of {plan.benchmark.name}.", context.label, console)
    with interruption.interruptible():  # data may have to be downloaded
        benchmark = build.build_benchmark(plan, Path(config["data_dir"]), device)
    meet(ranks)
    say_what_is_done("Trying two examples of the first tasks, before training.", context.label, console)
    learner = build_rehearsed(plan, benchmark, device, ranks)
    checkpoints = checkpoints_of(folder, config, benchmark, ranks)
    if config["fresh"] or _replaces_stand_in(folder, config, benchmark):
        clear(folder, checkpoints.clear)
    restored = restore(checkpoints, learner, console, ranks)
    with interruption.interruptible():
        restored, extended = first_of(restored, plan, config, benchmark, learner)
    progress = Progress(**restored.progress)
    facts = describe(plan, benchmark, learner, config_id(config), request)
    said = [*origin(extended), *without_effect(request.overrides, plan), *build.choices(plan, learner)]
    print_introduction(vars(facts), overview(benchmark), said, folder, context.label, console)
    iterations = [plan.training.steps(task) for task in benchmark.tasks]
    write_setup(folder, request.setup())
    state = RunState(folder, facts, config, iterations, facts_of(benchmark), progress)
    recorder = RunRecorder(state, progress.losses, extended)
    log = build_log(state, recorder, plan, context, learner)

    def reached(iteration: int) -> dict[str, Any]:
        log.save(iteration)
        return asdict(state.progress(recorder.lines))

    saver = CheckpointSaver(checkpoints, learner, config["checkpoint_every"], iterations, interruption, reached, ranks)
    with ended(log, recorder):
        log.begin_run()
        saver.begin_run(restored.start.task if extended else 0)
        pause, heard = partial(_pause, state, saver), [log, saver]  # the saver saves what the log has recorded
        for _ in train(learner, benchmark.tasks, plan.training, heard, restored.start, pause):
            yield  # a row of the matrix is in the log already
        log.end_run("finished")
        checkpoints.keep_last()
        recorder.finish(state)
    meet(ranks)
    interruption.answer()  # to a signal that came while the last task was evaluated
    result = read_result(folder)
    assert result is not None  # it has just been written
    return result


def _pause(state: RunState, saver: CheckpointSaver, iteration: int, training: Callable[[], Mapping[str, Any]]) -> None:
    """Notes how far the run is, for the bar, and saves it if need be."""
    state.iteration = iteration
    saver.pause(iteration, training)


def facts_of(benchmark: Benchmark) -> BenchmarkFacts | None:
    """Returns what puts accuracies into perspective; None for other scores."""
    tasks = benchmark.tasks
    known = benchmark.score is ACCURACY
    return BenchmarkFacts([task.majority for task in tasks], independent_examples(tasks)) if known else None


def meet(ranks: Ranks | None, goes_on: bool = True) -> bool:
    """Waits, in a process that writes nothing, for the one that does; returns whether that one goes on with the run."""
    return goes_on if ranks is None else bool(ranks.from_first(goes_on))


def checkpoints_of(folder: Path, config: Mapping[str, Any], benchmark: Benchmark, ranks: Ranks | None) -> Checkpoints:
    """Returns the checkpoints of a run, which the first process alone writes."""
    identity = owner(config_id(config), asdict(benchmark.data))
    if ranks is None:
        return Checkpoints(folder, identity, processes=1)
    return Checkpoints(folder, identity, ranks.place.size, ranks.writes)


def restore(checkpoints: Checkpoints, learner: Learner, console: Console, ranks: Ranks | None) -> Restored:
    """Restores the learner from its newest readable checkpoint and prints which ones cannot be read.

    Raises:
        UserError: there are checkpoints, but none of them can be used, or `ranks` find different ones.
    """
    meet(ranks)  # what was to be removed is gone
    restored = checkpoints.restore(learner)
    if ranks is not None and not ranks.agree([restored.start.task, restored.start.iteration]):
        raise UserError(UNSHARED.format(checkpoints.folder))
    for problem in restored.problems:
        console.print(f"{problem}; going on from an older one", style="yellow", highlight=False, soft_wrap=True)
    return restored


def _replaces_stand_in(folder: Path, config: Mapping[str, Any], benchmark: Benchmark) -> bool:
    """Tells whether an earlier part of this run used a stand-in for data that are available now."""
    earlier = earlier_result(folder, config)
    return earlier is not None and on_stand_in(earlier) and not benchmark.data.stand_in


def build_rehearsed(plan: Plan, benchmark: Benchmark, device: torch.device, ranks: Ranks | None) -> Learner:
    """Builds the learner, once another one like it has shown that it can learn such tasks.

    Raises:
        UserError: it cannot, or does not fit into memory.
    """
    setup = build.build_context(plan, benchmark.in_shape, benchmark.class_counts, device)
    return rehearsed(
        partial(build.make_learner, plan), replace(setup, ranks=ranks), benchmark.tasks, plan.training.batch_size
    )
