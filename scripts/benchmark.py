"""Where a training step's time goes: python scripts/benchmark.py [--help]

Times one step of a benchmark's networks on random images, all kinds side by side in one process and in turns, so
that a machine that slows down slows all of them:

  plain       the target network alone, unprotected (method=finetune)
  generated   the same target with generated weights, beta = 0
  fast        with the regulariser by Gram matrices, without lookahead
  lookahead   the full step as the paper has it: candidate step, then the regulariser there
  explicit    the full step with every old task's weights generated

and prints medians, images per second, ratios to `plain`, and what the products alone would take at the measured rate.
With --benchmark split_cifar --sequence 6 --learned 1 6 it is Zenke's network, with --target resnet32 ResNet-32.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from hnet_cl import build
from hnet_cl.benchmarks.base import Benchmark, DataIdentity, Split, Task
from hnet_cl.conf_files import conf_dir
from hnet_cl.config import check
from hnet_cl.methods.base import Learner
from hnet_cl.settings import Settings

KINDS = {
    "plain": ["method=finetune"],
    "generated": ["method.beta=0", "method.lookahead=false"],
    "fast": ["method.lookahead=false"],
    "lookahead": [],
    "explicit": ["method.regularizer=explicit"],
}


class RandomImages(Benchmark):
    """As many ten-class tasks as wanted, all with the same few random images of 32 x 32, grey or in colour."""

    Settings = Settings

    def __init__(self, settings: Any, data_dir: Path, device: torch.device) -> None:
        num_tasks, channels = settings
        images = torch.rand(512, channels, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
        split = Split(images, torch.randint(10, (512,), device=device), torch.clone)
        self.tasks = [Task(t, f"task {t + 1}", split, split, 10) for t in range(num_tasks)]
        self.data = DataIdentity("random", "generator", "")
        self.in_shape = (channels, 32, 32)


def make_step(
    kind: str, choices: list[str], num_tasks: int, learned: int, device: str
) -> tuple[Callable[[], Any], int]:
    """A function that makes one training step on the last of `learned` tasks, and the number of images it takes."""
    overrides = [*choices, f"benchmark.num_tasks={num_tasks}", f"device={device}", *KINDS[kind]]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("config", overrides), resolve=True)
    plan = check(config)
    channels = 3 if plan.benchmark.name.startswith("split_cifar") else 1
    tasks = RandomImages((num_tasks, channels), Path(), build.build_device(plan.device))
    learner: Learner = build.build_learner(plan, tasks.in_shape, tasks.class_counts, torch.device(device))
    learner.begin_task(tasks.tasks[:learned])
    inputs, labels = tasks.tasks[0].train.batch(slice(0, plan.training.batch_size))

    def step() -> None:
        learner.step(inputs, labels)
        if device == "cuda":
            torch.cuda.synchronize()

    return step, len(labels)


def matmul_rate(device: str, seconds: float = 1.0) -> float:
    """FLOP/s of float32 matrix products of the target network's size, the best of many."""
    left, right = torch.rand(128, 1000, device=device), torch.rand(1000, 1000, device=device)
    best, stop = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = time.perf_counter()
        torch.mm(left, right)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * 128 * 1000 * 1000 / best


def flops(step: Callable[[], Any]) -> float:
    """FLOPs of the matrix products of one step."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def measure(steps: dict[str, Callable[[], Any]], repeats: int, budget: float) -> dict[str, float]:
    """Median seconds of each step. They take turns; slow ones stop once they have used `budget` seconds."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(3):
            step()
    for _ in range(repeats):
        for name, step in steps.items():
            if sum(times[name]) > budget:
                continue
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def main() -> None:
    """Measures and prints one table for each sequence length and number of learned tasks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", default="pmnist", help="choice whose target and hypernetwork are timed")
    parser.add_argument("--target", help="choice of another target network than the benchmark's own")
    parser.add_argument("--sequence", type=int, default=100, help="tasks in the sequence (heads of the target)")
    parser.add_argument("--learned", type=int, nargs="+", default=[2, 10, 50, 100], help="tasks learned, T")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--repeats", type=int, default=60, help="steps of each kind")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds at most for each kind")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    console = Console()
    rate = matmul_rate(arguments.device)
    console.print(f"torch {torch.__version__}, {arguments.threads} threads, matrix products {rate / 1e9:.0f} GFLOP/s")
    choices = [f"benchmark={arguments.benchmark}", *([f"target={arguments.target}"] if arguments.target else [])]
    title = f"{' '.join(choices)}, sequence of {arguments.sequence} tasks: median of a training step"
    table = Table(title=title)
    for name in ("T", "kind", "ms", "images/s", "/ plain", "GFLOP", "ms of products alone"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for learned in arguments.learned:
        made = {
            kind: make_step(kind, choices, arguments.sequence, learned, arguments.device) for kind in arguments.kinds
        }
        steps = {kind: step for kind, (step, _) in made.items()}
        medians = measure(steps, arguments.repeats, arguments.budget)
        base = medians.get("plain", float("nan"))
        for kind, seconds in medians.items():
            work = flops(steps[kind])
            ratio, products = seconds / base, work / rate
            table.add_row(
                str(learned),
                kind,
                f"{seconds * 1e3:.2f}",
                f"{made[kind][1] / seconds:.0f}",
                f"{ratio:.2f}",
                f"{work / 1e9:.2f}",
                f"{products * 1e3:.2f}",
            )
        table.add_section()
    console.print(table)


if __name__ == "__main__":
    main()
