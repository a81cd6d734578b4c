"""The record of a run: how it was asked for, its facts, who listens to it, and how it ended."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial

import torch
from rich.console import Console

from hnet_cl.benchmarks.base import Benchmark
from hnet_cl.config.check import Plan
from hnet_cl.core.errors import Interrupted
from hnet_cl.core.signals import Interruption
from hnet_cl.loggers.console import ConsoleLog
from hnet_cl.methods.base import Learner
from hnet_cl.methods.parts.embeddings import task_embeddings
from hnet_cl.records.logger import Logger
from hnet_cl.records.provenance import command_line
from hnet_cl.records.recorder import RunRecorder
from hnet_cl.records.run_log import RunLog
from hnet_cl.records.run_state import RunFacts, RunState


@dataclass(frozen=True)
class RunContext:
    """The surroundings of a run: `console` and `interruption`, shared with the runs that it takes turns with.

    `listeners` hear of the run besides the usual ones. With a `label`, the run is one of several: its lines on the
    console begin with the label, and are few.
    """

    console: Console
    interruption: Interruption
    listeners: Sequence[Logger] = ()
    label: str = ""


@dataclass(frozen=True)
class Request:
    """How a run was requested: `overrides` as typed, and `setup`, which returns the texts of its files in .hydra.

    `preset` and `target` are the chosen files; None if there is none. `command`: the command line for this run, by
    default that of this process.
    """

    overrides: Sequence[str]
    setup: Callable[[], Mapping[str, str]] = dict
    preset: str | None = None
    target: str | None = None
    command: str = field(default_factory=command_line)


@contextmanager
def ended(log: RunLog, recorder: RunRecorder) -> Iterator[None]:
    """Records that the run was interrupted or failed inside, and raises the error again."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt, SystemExit, GeneratorExit) as reason:
        why = str(reason) if isinstance(reason, Interrupted) else "interrupted"
        recorder.interrupt(log.state, why)
        log.end_run("interrupted", why)
        raise
    except BaseException as error:
        why = str(error) or type(error).__name__
        recorder.fail(log.state, why)
        log.end_run("failed", why)
        raise


def build_log(state: RunState, recorder: RunRecorder, plan: Plan, context: RunContext, learner: Learner) -> RunLog:
    """Builds the log of a run: the recorder, pictures, the console and other listeners, and the chosen loggers."""
    from hnet_cl.loggers.pictures import PictureLog  # imports matplotlib, which takes a while

    facts = state.facts
    title = " · ".join([facts.benchmark, facts.scenario, facts.method, facts.data["name"]])
    pictures = PictureLog(title, lambda name, pixels: log.picture(name, pixels))
    always = [recorder, pictures, ConsoleLog(context.console, context.label), *context.listeners]
    chosen = {name: logger.make() for name, logger in plan.loggers.items()}
    log = RunLog(state, always, chosen, learner.kept_bytes, partial(task_embeddings, learner))
    return log


def describe(plan: Plan, benchmark: Benchmark, learner: Learner, identity: str, request: Request) -> RunFacts:
    """Returns the facts of a run that result.json holds from its start."""
    trainable = sum(parameter.numel() for parameter in learner.parameters() if parameter.requires_grad)
    ranks = learner.context.ranks
    processes = "" if ranks is None else f"{ranks.place.size} processes: "
    threads = f"{torch.get_num_threads()} threads"
    return RunFacts(
        config_id=identity,
        benchmark=plan.benchmark.name,
        dataset=benchmark.data.name if plan.dataset is None else plan.dataset.settings.name,
        scenario=plan.scenario.name,
        method=plan.method.name,
        seed=plan.seed,
        target=request.target or plan.target_class.__name__,
        preset=request.preset,
        overrides=request.overrides,
        parameters={
            "trainable": trainable,
            "target": learner.target_size,
            "generated": learner.generated_size,
            "compression_ratio": trainable / learner.target_size,
        },
        data=asdict(benchmark.data),
        in_shape=benchmark.in_shape,
        tasks=[{"name": task.name, "classes": task.classes} for task in benchmark.tasks],
        device=processes + (torch.cuda.get_device_name() if plan.device.type == "cuda" else f"cpu, {threads}"),
        command=request.command,
        score=benchmark.score.name,
    )
