"""One run, from configuration to a finished run folder."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from hnet_cl import build
from hnet_cl.benchmarks.base import Benchmark
from hnet_cl.config import Plan, check
from hnet_cl.identity import config_id
from hnet_cl.methods.base import Learner
from hnet_cl.results.console import ConsoleLog, print_summary
from hnet_cl.results.plots import PictureLog
from hnet_cl.results.recorder import Progress, RunFacts, RunRecorder, read_result
from hnet_cl.results.tensorboard import TensorBoardLog
from hnet_cl.training import checkpoint
from hnet_cl.training.trainer import train


def run(config: Mapping[str, Any], folder: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Trains what `config` (resolved) says, writes the run folder and prints the results and the folder.

    Returns the contents of result.json. A finished run is only shown again; an interrupted one continues after its
    last finished task. From the first step on, an error is recorded in result.json before it is raised.

    Raises:
        UserError: anything the user can mend.
    """
    plan = check(config)
    console = Console()
    done = None if config["fresh"] else read_result(folder)
    if done and done["status"] == "finished":
        console.print(f"This run is finished already (data: {done['data']['name']}); fresh=true runs it again.")
    else:
        execute(plan, config, folder, overrides, console)
        done = read_result(folder)
    assert done is not None
    names = [f"task {number + 1}" for number in range(done["num_tasks"])]
    print_summary(done["accuracy_matrix"], done["metrics"], names, done["data"]["name"], console)
    print(folder)
    return done


def clear(folder: Path) -> None:
    """Removes what an earlier run of the same configuration and seed left behind."""
    for path in folder.iterdir():
        if path.is_file() and path.suffix != ".log":
            path.unlink()


def execute(plan: Plan, config: Mapping[str, Any], folder: Path, overrides: Sequence[str], console: Console) -> None:
    """Builds, trains and records."""
    device = build.build_device(plan.device)
    benchmark = build.build_benchmark(plan, Path(config["data_dir"]), device)
    learner = build.build_learner(plan, benchmark, device)
    if config["fresh"]:
        clear(folder)
    identity = config_id(config)
    owner = f"{identity} on {benchmark.data.name} {benchmark.data.checksum}"
    progress = Progress(**checkpoint.load(folder, owner, learner))
    facts = describe(plan, benchmark, learner, identity, overrides)
    names = [task.name for task in benchmark.tasks]
    iterations = plan.training.iterations
    title = " · ".join([facts.benchmark, facts.scenario, facts.method, benchmark.data.name])
    recorder = RunRecorder(folder, facts, names, [task.majority for task in benchmark.tasks], progress)
    board = TensorBoardLog(folder, title, iterations, hparams(config), progress.matrix)
    with ExitStack() as stack:
        stack.callback(board.close)
        bar = stack.enter_context(ConsoleLog(console, names, iterations))
        logs = (recorder, board, bar, PictureLog(folder, title, progress.matrix))
        try:
            for _ in train(learner, benchmark.tasks, plan.training, plan.seed, logs, first=len(progress.matrix)):
                checkpoint.save(folder, owner, learner, asdict(recorder.progress(0)))
        except BaseException as error:
            recorder.fail(str(error) or type(error).__name__)
            raise
        board.finish()
        recorder.finish()


def describe(plan: Plan, benchmark: Benchmark, learner: Learner, identity: str, overrides: Sequence[str]) -> RunFacts:
    """What result.json says of a run from its start."""
    trainable = sum(parameter.numel() for parameter in learner.parameters())
    threads = f"{torch.get_num_threads()} threads"
    return RunFacts(
        config_id=identity,
        benchmark=plan.benchmark.name,
        scenario=plan.scenario.name,
        method=plan.method.name,
        seed=plan.seed,
        overrides=overrides,
        parameters={
            "trainable": trainable,
            "target": learner.target_size,
            "compression_ratio": trainable / learner.target_size,
        },
        data=asdict(benchmark.data),
        device=torch.cuda.get_device_name() if plan.device.type == "cuda" else f"cpu, {threads}",
        command=shlex.join(["python", "-m", "hnet_cl", *sys.argv[1:]]),
    )


def hparams(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that TensorBoard's table compares: choices, seed, and numbers of training and method."""
    chosen = {group: config[group]["name"] for group in ("benchmark", "scenario", "method")}
    return chosen | {"seed": config["seed"]} | flatten(config["training"]) | flatten(config["method"])


def flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one mapping with dotted keys; names and class paths are left out."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif key not in ("name", "_target_"):
            flat[prefix + key] = value
    return flat
